"""What BatchNorm needs to learn from."""

from torch import Tensor, nn

from segtrain.errors import InputError


def require_batch_statistics(norm: nn.Module, x: Tensor) -> None:
    """Raises InputError where `norm` is training and N×C×h×w `x` has one value a channel.

    Its variance would be 0; torch fails there without naming the setting. SyncBatchNorm counts
    the values of all processes and is let through.
    """
    if norm.training and isinstance(norm, nn.BatchNorm2d) and x.numel() == x.shape[1]:
        raise InputError(
            "batch_size=1: BatchNorm cannot learn from pooled features, one cell of one image",
            do="set batch_size=2, or freeze_norm=true",
        )
