"""ResNets with bottlenecks, by the number of their blocks."""

from segtrain.converters.network import State
from segtrain.errors import InputError

DEPTHS = {6: 50, 23: 101}  # by the blocks of the third stage


def depth(state: State, stage: str, first: int = 0) -> int:
    """Counts the blocks of a ResNet's third stage.

    Args:
        state: the published tensors by their names.
        stage: what the tensors of the third stage's blocks begin with, up to their number.
        first: the number of the first block.

    Returns:
        50 or 101.

    Raises:
        InputError: another ResNet.

    Example:
        >>> depth(torchvision.models.resnet50().state_dict(), "layer3.")
        50
    """
    numbers = [name.removeprefix(stage).split(".")[0] for name in state if name.startswith(stage)]
    blocks = max((int(number) for number in numbers if number.isdigit()), default=first - 1) - first + 1
    if blocks not in DEPTHS:
        raise InputError(
            f"the weights are no ResNet-50 or 101: {blocks} blocks in the third stage",
            do="ours have 6 or 23; give the weights of one of them",
        )
    return DEPTHS[blocks]
