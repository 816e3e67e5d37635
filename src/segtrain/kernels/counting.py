"""How often each label meets each prediction."""

import numpy as np
from numba import njit

ROW = 256  # predictions are uint8: one label's row in a table of counts
COPIES = 4  # of that table: neighbouring pixels mostly count in one cell, which would wait for itself


@njit(nogil=True, cache=True)
def count_pairs(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """int64 C×C: how often each label 0..C-1 (row) meets each prediction; other values count nowhere.

    Args:
        labels, predictions: uint8 of one length.
    """
    tables = np.zeros((COPIES, ROW * ROW), np.uint32)
    whole = labels.size - labels.size % COPIES
    for i in range(0, whole, COPIES):
        for k in range(COPIES):
            tables[k, np.uint32(labels[i + k]) * np.uint32(ROW) + predictions[i + k]] += 1
    for i in range(whole, labels.size):
        tables[0, np.uint32(labels[i]) * np.uint32(ROW) + predictions[i]] += 1
    counts = np.zeros((num_classes, num_classes), np.int64)
    for label in range(num_classes):
        for predicted in range(num_classes):
            for k in range(COPIES):
                counts[label, predicted] += tables[k, label * ROW + predicted]
    return counts
