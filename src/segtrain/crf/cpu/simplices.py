"""From the features of a block of pixels to the simplices of the permutohedral lattice they lie in.

Every step is a loop over the block's pixels without branches, which LLVM turns into vector code; so
the whole block is worked on, also where it is not full. The order of operations is pydensecrf's:
rounded otherwise, a pixel on the border of two simplices would make other vertices.
"""

from typing import NamedTuple

import numpy as np

from segtrain.crf.cpu.compile_cache import compiled

BLOCK = 256  # pixels of a row
float32, int32, int64 = np.float32, np.int32, np.int64


class Work(NamedTuple):
    """A block of pixels on its way to vertices, one row of BLOCK values an axis."""

    features: np.ndarray
    lifted: np.ndarray
    base: np.ndarray
    rank: np.ndarray
    by_rank: np.ndarray
    unit_by_rank: np.ndarray
    keys: np.ndarray
    weights: np.ndarray


@compiled
def set_features(features, x, y, colours, pixel, size, stds):
    """Writes the features of a block: places, then colours, over their stds.

    Args:
        features: float32 d×BLOCK, to be written.
        x: of the block's first pixel.
        y: of its row.
        colours: float32 channels×(H·W).
        pixel: the first one's number.
        size: how many pixels there are.
        stds: float32 d.
    """
    across, down, std = features[0], features[1], stds[0]
    row = float32(y) / stds[1]
    for t in range(size):
        across[t] = float32(x + t) / std
        down[t] = row
    for c in range(colours.shape[0]):
        feature, colour, std = features[2 + c], colours[c, pixel:], stds[2 + c]
        for t in range(size):
            feature[t] = colour[t] / std


@compiled
def find_simplices(work, scale, keys):
    """The keys and the weights of the vertices around each pixel of a block.

    Args:
        work: its features are read; its keys, int64 (d+1)×BLOCK, and weights, float32, are written.
        scale: float32 d, of `coordinates.feature_scale`.
        keys: of `coordinates.key_layout`.
    """
    _lift(work.features, scale, work.lifted, work.weights[0])
    _nearest(work)
    shifts, offset, ones = keys
    corners = work.lifted.shape[0]
    share = float32(1) / float32(corners)
    work.unit_by_rank[:] = 0
    work.by_rank[:] = 0
    work.keys[0, :] = offset
    for i in range(corners):
        lifted, base, rank = work.lifted[i], work.base[i], work.rank[i]
        key, unit = work.keys[0], int64(1) << shifts[i] if i < corners - 1 else int64(0)
        for t in range(BLOCK):
            lifted[t] = (lifted[t] - base[t]) * share
            key[t] += int64(base[t]) * unit
        for k in range(corners):
            by_rank, unit_by_rank, wanted = work.by_rank[k], work.unit_by_rank[k], int32(k)
            for t in range(BLOCK):
                by_rank[t] += lifted[t] if rank[t] == wanted else float32(0)
            for t in range(BLOCK):
                unit_by_rank[t] += unit if rank[t] == wanted else int64(0)
    weight, lower, upper = work.weights[0], work.by_rank[corners - 1], work.by_rank[0]
    for t in range(BLOCK):
        weight[t] = lower[t] + (float32(1) - upper[t])
    # Vertex k: each coordinate one more, but for the one of rank d+1-k, which is d less.
    for k in range(1, corners):
        before, key, unit = work.keys[k - 1], work.keys[k], work.unit_by_rank[corners - k]
        weight, lower, upper = work.weights[k], work.by_rank[corners - 1 - k], work.by_rank[corners - k]
        for t in range(BLOCK):
            key[t] = before[t] + ones - int64(corners) * unit[t]
            weight[t] = lower[t] - upper[t]


@compiled
def _lift(features, scale, lifted, total):
    """Features onto the plane whose coordinates sum to 0 (Adams et al., page 5)."""
    total[:] = 0
    for i in range(features.shape[0], 0, -1):
        row, feature, factor, times = lifted[i], features[i - 1], scale[i - 1], float32(i)
        for t in range(BLOCK):
            value = feature[t] * factor
            row[t] = total[t] - times * value
            total[t] += value
    lifted[0, :] = total


@compiled
def _nearest(work):
    """The nearest vertex of remainder 0, `base`, and the rank of each coordinate's distance to it."""
    corners = work.lifted.shape[0]
    above = work.rank[0]  # by how many cells the rounded coordinates leave the plane
    above[:] = 0
    whole = float32(corners)
    for i in range(corners):
        lifted, base = work.lifted[i], work.base[i]
        for t in range(BLOCK):
            cell = np.rint(lifted[t] * (float32(1) / whole))
            base[t] = cell * whole
            above[t] += int32(cell)
    for i in range(1, corners):
        work.rank[i, :] = above
    for i in range(corners - 1):
        lifted, base, rank = work.lifted[i], work.base[i], work.rank[i]
        for j in range(i + 1, corners):
            lifted2, base2, rank2 = work.lifted[j], work.base[j], work.rank[j]
            for t in range(BLOCK):
                less = int32(lifted[t] - base[t] < lifted2[t] - base2[t])
                rank[t] += less
                rank2[t] += int32(1) - less
    for i in range(corners):  # back onto the plane
        base, rank = work.base[i], work.rank[i]
        for t in range(BLOCK):
            shift = int32(corners) * (int32(rank[t] < 0) - int32(rank[t] >= corners))
            rank[t] += shift
            base[t] += float32(shift)
