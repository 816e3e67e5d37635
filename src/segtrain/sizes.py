"""Coarse logits and full-size labels at one size: the only place that decides where cells lie.

Networks with padded odd kernels (DeepLab, PSPNet) have cell i of an output of stride s on pixel
s·i, so that 8k+1 pixels give k+1 cells (DeepLab's 321 and 513 give 41 and 65). Networks that lie
otherwise, as FCN does, bring their logits to the picture's size themselves.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain import kernels


def stride_of(coarse: int, fine: int) -> int:
    """The power of 2 by which `coarse` cells cover `fine` pixels, cell i on pixel stride·i."""
    stride = 1
    while coarse > 1 and stride * (coarse - 1) + 1 < fine:
        stride *= 2
    return stride


def upsample_logits(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits N×C×h×w bilinearly at `size` (H, W), each cell's value on its own pixel."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    large = F.interpolate(logits, _whole(logits, size), mode="bilinear", align_corners=True)
    return large[..., : size[0], : size[1]]


def upsample_cells(strip: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """A strip of whole rows of cells N×C×h×w, `stride` pixels from one to the next, at `size` (H, W)."""
    whole = stride * (strip.shape[-2] - 1) + 1, _whole(strip, size)[1]
    large = F.interpolate(strip, whole, mode="bilinear", align_corners=True)
    return large[..., : size[0], : size[1]]


def upsampled_labels(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The class of the largest of `upsample_logits`, uint8 N×H×W; on the CPU without making them."""
    if kernels.pay(size[0] * size[1], logits):
        from segtrain.kernels.argmax import upsampled_argmax

        whole = _whole(logits, size)
        maps = [upsampled_argmax(x.numpy(), whole, size, align_corners=True) for x in logits.float()]
        return torch.from_numpy(np.stack(maps))
    return upsample_logits(logits, size).argmax(1).to(torch.uint8)


def _whole(logits: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """The size from the first to the last cell, of which a picture of `size` may be a part."""
    height, width = (
        stride_of(cells, pixels) * (cells - 1) + 1 if cells > 1 else pixels
        for cells, pixels in zip(logits.shape[-2:], size, strict=True)
    )
    return height, width


def subsample_labels(labels: Tensor, stride: int, size: tuple[int, int], void: int) -> Tensor:
    """Every `stride`-th label of N×H×W, N×h×w for `size` (h, w): those on which the cells lie.

    Cells beyond the picture's right or lower border get `void`.
    """
    small = labels[:, ::stride, ::stride]
    below, right = size[0] - small.shape[1], size[1] - small.shape[2]
    return F.pad(small, (0, right, 0, below), value=void)
