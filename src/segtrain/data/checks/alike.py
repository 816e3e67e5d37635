"""Images that look alike: a perceptual hash of 64 bits, which survives another size and compression.

pHash: the signs of the lowest frequencies of a small grey copy, as in "Implementation and Benchmarking of
Perceptual Image Hash Functions", Zauner 2010, section 3.2.1.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from segtrain.input_spec import DTYPES

SIDE, FREQUENCIES = 32, 8
FLAT = 2.0  # grey levels of std, of 255: an image with less has no look to compare
MOST_BITS = 6  # of 64 that may differ: of unlike images 32 do
AT_ONCE = 512  # images of one split that are compared at a time


class Alike(NamedTuple):
    """Two images of two splits that look alike.

    Attributes:
        where, split: the image, by its file or name, and its split.
        other, other_split: the most similar one of a split before.
        bits: in which the hashes differ, 0 to 6.
    """

    where: str
    split: str
    other: str
    other_split: str
    bits: int


def look(image: np.ndarray) -> np.ndarray | None:
    """The perceptual hash of an image.

    Args:
        image: H×W×C as a sample's; the mean of the first four channels is looked at.

    Returns:
        float32 64 of -1 and 1; None where the image is flat, or no image of a sample's kind.

    Example:
        >>> int((look(image) != look(cv2.resize(image, None, fx=0.5, fy=0.5))).sum())
        0
    """
    if image.ndim != 3 or not image.size or str(image.dtype) not in DTYPES:
        return None
    few = np.ascontiguousarray(image[..., :4])  # OpenCV shrinks no more at once
    small = cv2.resize(few, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(SIDE, SIDE, -1)
    grey = np.nan_to_num(small.astype(np.float32).mean(2))
    span = 255.0 if image.dtype == np.uint8 else max(float(np.abs(grey).max()), 1e-6)
    if grey.std() < FLAT / 255 * span:
        return None
    low = cv2.dct(grey)[:FREQUENCIES, :FREQUENCIES].ravel()
    return np.where(low > np.median(low[1:]), 1, -1).astype(np.float32)  # the first is the mean


def most_alike(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Of each of `second` the most similar of `first`, where few enough bits differ.

    Args:
        first, second: hashes N×64 and M×64 of -1 and 1; a row of zeros is like nothing.

    Yields:
        (index in `second`, index in `first`, bits that differ).
    """
    if not len(first):
        return
    for start in range(0, len(second), AT_ONCE):
        # Equal signs give 1, others -1: the product counts them, and is a matrix product.
        equal = second[start : start + AT_ONCE] @ first.T
        nearest = equal.argmax(1)
        bits = (64 - equal[np.arange(len(nearest)), nearest]) / 2
        for i in np.flatnonzero(bits <= MOST_BITS):
            yield start + int(i), int(nearest[i]), int(bits[i])


def hashes(looks: Sequence[np.ndarray | None]) -> np.ndarray:
    """The hashes of images as rows, float32 N×64; zeros for one without."""
    rows = [np.zeros(64, np.float32) if one is None else one for one in looks]
    return np.reshape(np.array(rows, np.float32), (-1, 64))
