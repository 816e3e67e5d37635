"""Feature maps and logits from the cells of one grid onto those of another, bilinearly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.layers.grid import Grid, crop
from segtrain.layers.upsample import upsample


def lies_on_pixels(grid: Grid) -> bool:
    """Whether cell i lies on pixel stride·i, as `sizes.py` assumes of logits."""
    return abs(grid.offset) < 1


def resample(x: Tensor, grid: Grid, onto: Grid, size: Sequence[int]) -> Tensor:
    """N×C×h×w, whose cells lie on `grid`, at the first `size` (height, width) cells of `onto`.

    Beyond the outermost cells it keeps their values. Computed in the precision of `x`.

    Args:
        grid, onto: the stride of the second divides that of the first.

    Example:
        >>> resample(coarse, Grid(32, 15.5), Grid(16, 7.5), fine.shape[-2:])
    """
    factor = grid.stride // onto.stride
    shift = (onto.offset - grid.offset) / grid.stride  # cells of ours up to the first of theirs
    if lies_on_pixels(grid) and lies_on_pixels(onto):
        whole = all(factor * (n - 1) + 1 >= side for n, side in zip(x.shape[-2:], size, strict=True))
        if whole:
            return upsample(x, factor, (size[0], size[1]))
        shift = 0.0
    elif shift == (1 / factor - 1) / 2:  # cells in the middle of their shares, as of patches
        fine = F.interpolate(x, [factor * n for n in x.shape[-2:]], mode="bilinear", align_corners=False)
        return crop(fine, 0, 0, size)
    rows, columns = (_weights(n, side, factor, shift, x) for n, side in zip(x.shape[-2:], size, strict=True))
    with torch.autocast(x.device.type, enabled=False):
        return rows @ x @ columns.T


def onto_image(logits: Tensor, grid: Grid, size: Sequence[int]) -> Tensor:
    """Logits N×C×h×w where `sizes.py` expects them: as they are if cell i lies on pixel stride·i, else at
    `size` (H, W), the image's."""
    return logits if lies_on_pixels(grid) else resample(logits, grid, Grid(), size)


def needed_cells(grid: Grid, size: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of cells that an image of `size` (H, W) needs, cell i on pixel stride·i."""
    height, width = (-(-(side - 1) // grid.stride) + 1 for side in size)
    return height, width


def _weights(cells: int, side: int, factor: int, shift: float, like: Tensor) -> Tensor:
    """side×cells: what each cell adds to each of `side` positions, cells 1/factor apart from `shift` on."""
    position = torch.arange(side, device=like.device) / factor + shift
    index = torch.arange(cells, device=like.device)
    position = position.clamp(min=0).minimum(index[-1].float())
    return (1 - (position[:, None] - index).abs()).clamp(min=0).to(like.dtype)
