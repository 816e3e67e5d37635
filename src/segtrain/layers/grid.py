"""Where the cells of a feature map lie in the image, so that crops are derived, not guessed.

FCN's crop offsets (19, 27, 31, 5, 9, 18) are written as numbers in the authors' prototxts; they
follow from composing the coordinate maps of the layers, which is what `Grid` does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# torch 2.6 and 2.7 leave a slice that takes nothing away from the example out of an exported program, and do
# not say so: for images of another size it would be missing. A negative border stays.
SLICES_ARE_LOST = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 8)


class Grid(NamedTuple):
    """Cell i of a feature map is centred on input pixel `stride * i + offset`."""

    stride: int = 1
    offset: float = 0.0

    def conv(self, kernel: int, stride: int = 1, padding: int = 0) -> "Grid":
        """The grid after a convolution or a pooling."""
        return Grid(self.stride * stride, self.offset + self.stride * ((kernel - 1) / 2 - padding))

    def deconv(self, kernel: int, stride: int) -> "Grid":
        """The grid after a transposed convolution without padding; `stride` divides ours."""
        fine = self.stride // stride
        return Grid(fine, self.offset - fine * (kernel - 1) / 2)

    def index_of(self, other: "Grid") -> float:
        """The index of our cell that lies on cell 0 of `other`, a grid of the same stride."""
        return (other.offset - self.offset) / self.stride


def bilinear_kernel_size(coarse: Grid, fine: Grid) -> int:
    """The bilinear kernel that takes `coarse` onto cells of `fine`: 2s, or 2s-1 where centres meet.

    Gives FCN's kernels: 64, 32, 16 and 4 on VGG16, 63 on AlexNet.
    """
    stride = coarse.stride // fine.stride
    centres_meet = (coarse.offset - fine.offset) / fine.stride % 1 == 0
    return 2 * stride - 1 if centres_meet else 2 * stride


def crop(x: Tensor, top: int, left: int, size: Sequence[int]) -> Tensor:
    """`size` (height, width) of N×C×H×W from (top, left); ValueError where it does not reach."""
    height, width = size
    if top + height > x.shape[-2] or left + width > x.shape[-1] or min(top, left) < 0:
        raise ValueError(f"cannot crop {height}×{width} at ({top}, {left}) from {tuple(x.shape[-2:])}")
    return cut_out(x, top, left, size)


def cut_out(x: Tensor, top: int, left: int, size: Sequence[int]) -> Tensor:
    """As `crop`, for sizes that are known to reach."""
    height, width = size
    if SLICES_ARE_LOST and any(isinstance(side, torch.SymInt) for side in (*size, *x.shape[-2:])):
        below, right = top + height - x.shape[-2], left + width - x.shape[-1]
        return F.pad(x, (-left, right, -top, below))
    return x[..., top : top + height, left : left + width]


def pad_to(x: Tensor, size: int) -> Tensor:
    """N×C×H×W with zeros to the right and below, where a side is shorter than `size`."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, max(size - width, 0), 0, max(size - height, 0)))
