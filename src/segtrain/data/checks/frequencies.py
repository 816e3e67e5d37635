"""How frequent the classes of a training split are, and the loss weights that balance them."""

from typing import NamedTuple

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Split
from segtrain.data.checks.scan import read_labels, scan_masks


class Frequencies(NamedTuple):
    """How frequent each class is.

    Attributes:
        pixels: of the class, int64 C.
        present: all pixels, ignored ones too, of the images that have the class, int64 C.
    """

    pixels: np.ndarray
    present: np.ndarray


def class_frequencies(split: Split, num_classes: int) -> Frequencies:
    """Counts a split's pixels; every mask is read once, and the counts are cached."""
    pixels, present = np.zeros((2, num_classes), np.int64)
    for counts in scan_masks(split, "frequencies", _count):
        size = sum(count for _, count in counts)
        for label, count in counts:
            if label != IGNORE_INDEX:
                pixels[label] += count
                present[label] += size
    return Frequencies(pixels, present)


def median_frequency_weights(frequencies: Frequencies) -> list[float]:
    """A weight a class, median(freq) / freq_c (SegNet, PAMI 2017, section 3.2).

    freq_c is c's share of the pixels of those images that have it, as in "Predicting Depth,
    Surface Normals and Semantic Labels", Eigen and Fergus, ICCV 2015. A class that is nowhere in
    the split is left out of the median and gets 1: no pixel is there to be weighted.
    """
    pixels, present = frequencies
    seen = pixels > 0
    frequency = pixels[seen] / present[seen]
    weights = np.ones(len(pixels))
    if seen.any():
        weights[seen] = np.median(frequency) / frequency
    return weights.tolist()


def _count(split: Split, index: int) -> list[list[int]]:
    """[label, pixels] for each label of a mask."""
    counts = np.bincount(read_labels(split, index)[0].ravel())
    return [[label, int(counts[label])] for label in counts.nonzero()[0].tolist()]
