"""Stored numbers to class indices."""

from collections.abc import Mapping

import cv2
import numpy as np

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import MaskError


def as_labels(mask: np.ndarray, label_map: Mapping[int, int], num_classes: int, where: str) -> np.ndarray:
    """A mask's numbers as labels; the range is checked first, since a cast would wrap 300 to 44.

    Args:
        mask: integers H×W.
        label_map: stored value -> label, for the values that are not stored as labels.
        num_classes: labels are 0 .. num_classes-1, or 255 to ignore a pixel.
        where: names the mask in the complaint.

    Returns:
        uint8 H×W, writable.

    Raises:
        MaskError: a label is outside the classes.
    """
    plain = mask.dtype == np.uint8 and not label_map
    if plain and (mask + np.uint8(1)).max() <= num_classes:  # 255, ignored, wraps to 0
        return mask if mask.flags.writeable else mask.copy()  # Pillow's cannot be written to
    if mask.dtype == np.uint8:
        values, indices = np.arange(256), mask
    else:
        values, indices = np.unique(mask, return_inverse=True)
        indices = indices.reshape(mask.shape)
    labels = np.array([label_map.get(value, value) for value in values.tolist()])
    outside = (labels != IGNORE_INDEX) & ((labels < 0) | (labels >= num_classes))
    found = labels[indices[_look_up(outside.astype(np.uint8), indices) == 1]]
    if found.size:
        raise MaskError(
            f"{where}: label {found[0]} ({found.size} pixels) is outside the classes"
            f" 0..{num_classes - 1} and is not {IGNORE_INDEX} (ignored)",
            do="correct the mask, data.num_classes or data.label_map",
        )
    return _look_up(labels.astype(np.uint8), indices)


def _look_up(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """`table[indices]`; bytes by OpenCV, which is ten times as fast."""
    return cv2.LUT(indices, table) if indices.dtype == np.uint8 else table[indices]
