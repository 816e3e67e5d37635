"""The argmax of upsampled logits, without the upsampled logits."""

from collections.abc import Sequence

import numpy as np
from numba import njit


def upsampled_argmax(
    logits: np.ndarray, whole: Sequence[int], size: Sequence[int], *, align_corners: bool
) -> np.ndarray:
    """The class of the largest logit at every pixel, uint8 H×W, of logits upsampled bilinearly.

    As torch's `F.interpolate(logits[None], whole, mode="bilinear", align_corners=...)` cut to `size`
    and its argmax, in the same order of operations, but of the upsampled logits no more than two rows
    exist at a time.

    Args:
        logits: float32 C×h×w, finite.
        whole: the height and width to upsample to.
        size: H, W: the upper left part that is wanted.
    """
    rows = _grid(logits.shape[1], whole[0], size[0], align_corners)
    columns = _grid(logits.shape[2], whole[1], size[1], align_corners)
    labels = np.empty(size, np.uint8)
    _fill_argmax(np.ascontiguousarray(logits), rows, columns, labels)
    return labels


def _grid(cells: int, whole: int, pixels: int, align_corners: bool) -> tuple[np.ndarray, ...]:
    """The two cells between which each pixel lies, and the weight of each, as torch computes them."""
    position = np.arange(pixels, dtype=np.float32)
    if align_corners:
        position *= np.float32((cells - 1) / (whole - 1)) if whole > 1 else 0
    else:
        position = np.maximum(np.float32(cells / whole) * (position + np.float32(0.5)) - np.float32(0.5), 0)
    first = np.minimum(position.astype(np.int64), cells - 1)
    second = np.minimum(first + 1, cells - 1)
    weight = position - first.astype(np.float32)
    return first, second, 1 - weight, weight


# Contraction to fused multiply-adds is what torch's own compiler does: the sums are the same to the bit.
@njit(nogil=True, cache=True, fastmath={"contract"})
def _widen(cells, columns, wide):
    """One row of cells C×w to the pixels' columns, C×W."""
    first, second, weight_first, weight_second = columns
    for c in range(cells.shape[0]):
        for x in range(wide.shape[1]):
            wide[c, x] = cells[c, first[x]] * weight_first[x] + cells[c, second[x]] * weight_second[x]


@njit(nogil=True, cache=True, fastmath={"contract"})
def _fill_argmax(logits, rows, columns, labels):
    classes, (height, width) = logits.shape[0], labels.shape
    first, second, weight_first, weight_second = rows
    above, below = np.empty((2, classes, width), np.float32)
    best, label = np.empty(width, np.float32), np.empty(width, np.int32)
    above_is, below_is = -1, -1
    for y in range(height):
        if above_is != first[y] and below_is == first[y]:
            above, below, above_is, below_is = below, above, below_is, above_is
        if above_is != first[y]:
            _widen(logits[:, first[y]], columns, above)
            above_is = first[y]
        if below_is != second[y]:
            _widen(logits[:, second[y]], columns, below)
            below_is = second[y]
        for x in range(width):
            best[x] = above[0, x] * weight_first[y] + below[0, x] * weight_second[y]
            label[x] = 0
        for c in range(1, classes):
            for x in range(width):
                value = above[c, x] * weight_first[y] + below[c, x] * weight_second[y]
                better = value > best[x]
                best[x] = value if better else best[x]
                label[x] = c if better else label[x]
        for x in range(width):
            labels[y, x] = label[x]
