"""Coarse logits and full-size labels at one size: the only place that decides where cells lie.

Networks with padded odd kernels (DeepLab, PSPNet) have cell i of an output of stride s on pixel
s·i, so that 8k+1 pixels give k+1 cells (DeepLab's 321 and 513 give 41 and 65). Networks that lie
otherwise, as FCN does, bring their logits to the image's size themselves.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import Rows

VALUES = 1 << 27  # upsampled logits that may exist at a time: half a GB


def stride_of(coarse: int, fine: int) -> int:
    """The power of 2 by which `coarse` cells cover `fine` pixels, cell i on pixel stride·i."""
    stride = 1
    while coarse > 1 and stride * (coarse - 1) + 1 < fine:
        stride *= 2
    return stride


def upsample_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits N×C×h×w bilinearly at `size` (H, W), each cell's value on its own pixel."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    large = F.interpolate(logits, _whole(logits, size), mode="bilinear", align_corners=True)
    return large[..., : size[0], : size[1]]


def upsample_cells(strip: Tensor, stride: int, size: Sequence[int]) -> Tensor:
    """A strip of whole rows of cells N×C×h×w, `stride` pixels from one to the next, at `size` (H, W)."""
    whole = stride * (strip.shape[-2] - 1) + 1, _whole(strip, size)[1]
    large = F.interpolate(strip, whole, mode="bilinear", align_corners=True)
    return large[..., : size[0], : size[1]]


def upsample_rows(logits: Tensor, size: Sequence[int], start: int, stop: int) -> Tensor:
    """The rows from `start` to `stop` of `upsample_logits`, without the others."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits[..., start:stop, :]
    whole = _whole(logits, size)

    def cells(first: int, last: int) -> Tensor:
        return logits[..., first:last, :]

    rows = interpolate_rows(cells, logits.shape[-2], whole, start, stop, align_corners=True)
    return rows[..., : size[1]]


def interpolate_rows(
    cells: Rows, height: int, size: Sequence[int], start: int, stop: int, *, align_corners: bool
) -> Tensor:
    """The rows from `start` to `stop` of `F.interpolate(maps, size, mode="bilinear")`, N×C×(stop - start)×W.

    Args:
        cells: the rows of the maps, asked for those that are needed alone; height: how many there are.
    """
    step = (height - 1) / (size[0] - 1) if align_corners and size[0] > 1 else height / size[0]
    step = 0.0 if align_corners and size[0] == 1 else step
    # On the host with NumPy, for what is read of a GPU, or sent to it, waits for all of its work.
    ends = _positions(np.array([start, stop - 1], np.float32), step, align_corners)
    low, high = min(int(ends[0]), height - 1), min(int(ends[1]) + 2, height)
    seen = cells(low, high)
    wide = F.interpolate(seen, (high - low, size[1]), mode="bilinear", align_corners=align_corners)
    rows = torch.arange(start, stop, dtype=torch.float32, device=wide.device)
    position = _positions(rows, step, align_corners)
    first = position.long().clamp(max=height - 1)
    second = (first + 1).clamp(max=height - 1)
    weight = (position - first).to(wide).view(-1, 1)
    above, below = (wide.index_select(-2, i - low) for i in (first, second))
    return above.mul_(1 - weight).add_(below.mul_(weight))


Numbers = TypeVar("Numbers", np.ndarray, Tensor)  # float32


def _positions(rows: Numbers, step: float, align_corners: bool) -> Numbers:
    """Where rows of a larger map lie among those of a smaller one, of which one is 1 / `step` of them."""
    return rows * step if align_corners else ((rows + 0.5) * step - 0.5).clip(min=0)


def upsampled_labels(logits: Tensor, size: Sequence[int]) -> Tensor:
    """The argmax of `upsample_logits`, uint8 N×H×W; of large images block by block, so that the
    upsampled logits never exist all at once."""
    height, width = size
    rows = max(VALUES // (logits.shape[0] * logits.shape[1] * width), 1)
    if rows >= height:
        return upsample_logits(logits, size).argmax(1).to(torch.uint8)
    blocks = (upsample_rows(logits, size, top, min(top + rows, height)) for top in range(0, height, rows))
    return torch.cat([block.argmax(1).to(torch.uint8) for block in blocks], 1)


def _whole(logits: Tensor, size: Sequence[int]) -> tuple[int, int]:
    """The size from the first to the last cell, of which an image of `size` may be a part."""
    height, width = (
        stride_of(cells, pixels) * (cells - 1) + 1 if cells > 1 else pixels
        for cells, pixels in zip(logits.shape[-2:], size, strict=True)
    )
    return height, width


def subsample_labels(labels: Tensor, stride: int, size: Sequence[int], ignore_index: int) -> Tensor:
    """Every `stride`-th label of N×H×W, N×h×w for `size` (h, w): those on which the cells lie.

    Cells beyond the image's right or lower border get `ignore_index`.
    """
    small = labels[:, ::stride, ::stride]
    below, right = size[0] - small.shape[1], size[1] - small.shape[2]
    return F.pad(small, (0, right, 0, below), value=ignore_index)
