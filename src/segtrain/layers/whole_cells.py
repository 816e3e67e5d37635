"""A border that lets the cells of a strided network cover every pixel of an image."""

from torch import Tensor
from torch.nn import functional as F


def pad_to_whole_cells(x: Tensor, stride: int) -> Tensor:
    """N×C×H×W with zeros to the right and below, up to the next stride·k + 1 pixels of each side.

    A convolution of stride 2 and padding k // 2 gives ⌊(H-1)/2⌋ + 1 cells: on an even H the last
    pixel lies beyond the last of them. Sides of stride·k + 1 stay as they are.
    """
    height, width = x.shape[-2:]
    return F.pad(x, (0, (1 - width) % stride, 0, (1 - height) % stride))
