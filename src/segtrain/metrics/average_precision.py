"""Average precision of two classes: every threshold at once."""

import numpy as np
import torch

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.errors import InputError

# Probabilities between two neighbouring edges count as one: even steps of the odds' logarithm, since a
# confident network puts nearly all of them close to 0 and 1. The middle one is 0.5.
EDGES = (1 / (1 + np.exp(-np.linspace(-16, 16, 2049)))).astype(np.float32)


class AveragePrecision:
    """The area below the curve of precision over recall, as its thresholds' sum of precision times the gain
    in recall (Everingham et al., PASCAL VOC 2010 and later; scikit-learn's `average_precision_score`), over
    all valid pixels. It asks whether pixels of class 1 are more probable than others, whatever the threshold.

    `sums` is float64 2×2050: the pixels of class 0 and of class 1 by their probability of class 1.

    Args:
        num_classes: must be 2.

    Raises:
        InputError: another number of classes.
    """

    def __init__(self, *, num_classes: int):
        if num_classes != 2:
            raise InputError(
                f"metric=average_precision: data must have 2 classes, got {num_classes}",
                do="leave the metric out",
            )
        self.sums = torch.zeros(2, len(EDGES) + 1, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image: the predicted class of the two, uint8 H×W, and its probability, float32 H×W."""
        known = sample.mask != IGNORE_INDEX
        of_one = np.where(labels == 1, confidence, 1 - confidence)[known]
        bins = np.searchsorted(EDGES, of_one)
        target = sample.mask[known] == 1
        counts = np.bincount(bins + target * (len(EDGES) + 1), minlength=self.sums.numel())
        self.sums += torch.from_numpy(counts).view_as(self.sums)

    def compute(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The average precision, None where no pixel is of class 1, from the `sums` of all processes."""
        return {"average_precision": average_precision(sums)}


def average_precision(sums: torch.Tensor) -> float | None:
    """Of the pixels of class 0 and 1 by rising probability, float64 2×B."""
    false, true = sums.flip(1).cumsum(1)  # above each edge, the highest first
    if not true[-1]:
        return None
    precision = true / (true + false).clamp(min=1)
    gain = torch.diff(true, prepend=true.new_zeros(1)) / true[-1]
    return (precision * gain).sum().item()


def best_threshold(sums: torch.Tensor) -> float:
    """The threshold whose labels, class 1 above it, have the largest Dice, and IoU with it; the one nearest
    to 0.5 of several, and 0.5 where no pixel is of class 1."""
    matrices = np.stack([two_class_matrix(sums, i) for i in range(len(EDGES))])
    hits, target, predicted = matrices[:, 1, 1], matrices[:, 1].sum(1), matrices[:, :, 1].sum(1)
    dice = 2 * hits / np.maximum(target + predicted, 1)
    middle = len(EDGES) // 2
    if not target[0]:
        return float(EDGES[middle])
    best = np.flatnonzero(dice == dice.max())
    return float(EDGES[best[np.abs(best - middle).argmin()]])


def two_class_matrix(sums: torch.Tensor, edge: int) -> np.ndarray:
    """The confusion matrix, int64 2×2, of class 1 above an edge: rows are labels."""
    below, above = sums[:, : edge + 1].sum(1), sums[:, edge + 1 :].sum(1)
    return torch.stack([below, above], 1).long().numpy()
