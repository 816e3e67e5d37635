"""Feature maps at a finer stride."""

from torch import Tensor
from torch.nn import functional as F

from segtrain.layers.grid import crop


def upsample(x: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """N×C×h×w bilinearly at a stride `factor` times finer, cut to `size` (height, width).

    Cell i of the input is cell factor·i of the output, as where corners are aligned.
    """
    whole = [factor * (cells - 1) + 1 for cells in x.shape[-2:]]
    return crop(F.interpolate(x, whole, mode="bilinear", align_corners=True), 0, 0, size)
