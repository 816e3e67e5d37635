"""The coordinates of the permutohedral lattice: their scale, and how d of them become one number."""

import math
from typing import NamedTuple

import numpy as np

from segtrain.errors import InputError

KEY_BITS = 62


class Keys(NamedTuple):
    """A vertex's key is the sum of its coordinates, each shifted left by its `shifts`, and `offset`.

    Attributes:
        shifts: int64 d+1; the last is the first bit that is free.
        offset: makes every key positive.
        ones: what a key grows by where every coordinate grows by 1.
    """

    shifts: np.ndarray
    offset: int
    ones: int


def feature_scale(dimensions: int) -> np.ndarray:
    """What makes a feature of std 1 one of the lattice's (Adams et al. 2010, pages 5 and 6).

    Args:
        dimensions: d, of the features.

    Returns:
        float32 d; computed in double precision and then rounded, as in pydensecrf.
    """
    unit = float(np.float32(math.sqrt(2 / 3) * (dimensions + 1)))
    return np.array([1 / math.sqrt((i + 1) * (i + 2)) * unit for i in range(dimensions)], np.float32)


def slicing_scale(dimensions: int) -> float:
    """What makes the filter's impulse response a Gaussian of height 1, about (Adams et al.'s alpha).

    Args:
        dimensions: d, of the features.
    """
    return 1 / (1 + 2.0**-dimensions)


def key_layout(ends: np.ndarray, scale: np.ndarray, more_bits: int = 0) -> Keys:
    """As many bits for each coordinate as it needs.

    Args:
        ends: the smallest and the largest value of each feature, d×2.
        scale: as `feature_scale` gives it.
        more_bits: that the keys are to leave free.

    Returns:
        Where each coordinate stands in a key.

    Raises:
        InputError: keys that do not fit into 64 bits.
    """
    dimensions = len(scale)
    lift = np.triu(np.tile(scale, (dimensions, 1))).astype(float)
    for i in range(1, dimensions):
        lift[i, i - 1] = -i * scale[i - 1]
    extent = lift[:, :, None] * ends
    slack = 4 * (dimensions + 1)  # to the simplex's vertices, their neighbours, and for rounding
    low = np.floor(extent.min(2).sum(1)) - slack
    high = np.ceil(extent.max(2).sum(1)) + slack
    bits = [int(width).bit_length() for width in high - low]
    if sum(bits) + more_bits > KEY_BITS:
        raise InputError(
            f"dense_crf: stds must be so large that the keys of this image's lattice take at most"
            f" {KEY_BITS} bits, got {sum(bits) + more_bits} bits",
            do="give a larger sxy or srgb",
        )
    shifts = np.concatenate([[0], np.cumsum(bits)]).astype(np.int64)
    offset = -sum(int(start) << int(shift) for start, shift in zip(low, shifts[:-1], strict=True))
    return Keys(shifts, offset, sum(1 << int(shift) for shift in shifts[:-1]))
