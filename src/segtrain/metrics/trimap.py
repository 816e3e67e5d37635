"""The trimap curve: the mean IoU near borders."""

import numpy as np
import torch

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.metrics.borders import contours, distance_to, none_if_nan, with_ignored_of

WIDTHS = (1, 2, 4, 8, 16, 32)  # pixels on either side of a border


class Trimap:
    """The mean IoU of the pixels near a border of the labels, by the distance: Kohli, Ladický
    and Torr, "Robust Higher Order Potentials", IJCV 2009; DeepLab v1 to v3+ on VOC's ignored seams.

    `sums` is float64 W×3×C: correct, target and predicted pixels of each class, by the narrowest
    width that they are in.
    """

    def __init__(self, *, num_classes: int):
        self.sums = torch.zeros(len(WIDTHS), 3, num_classes, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the predicted class indices, uint8 H×W."""
        predicted = with_ignored_of(sample.mask, labels)
        labels, classes = sample.mask, self.sums.shape[-1]
        # How far the pixels are behind those at a border, which have distance 0.
        distance = distance_to(contours(labels))
        nearest = np.searchsorted(WIDTHS, distance, side="right")
        near = (nearest < len(WIDTHS)) & (labels != IGNORE_INDEX)
        nearest, labels, predicted = nearest[near].astype(np.int64), labels[near], predicted[near]
        hit = labels == predicted
        for row, (widths, values) in enumerate(
            [(nearest[hit], labels[hit]), (nearest, labels), (nearest, predicted)],
        ):
            counts = np.bincount(widths * classes + values, minlength=len(WIDTHS) * classes)
            self.sums[:, row] += torch.from_numpy(counts.reshape(len(WIDTHS), classes))

    def compute(self, sums: torch.Tensor) -> dict[str, dict[str, float | None]]:
        """The mean IoU within each width, from the `sums` of all processes."""
        correct, target, predicted = sums.cumsum(0).unbind(1)
        means = (correct / (target + predicted - correct)).nanmean(1).tolist()
        return {"trimap_mean_iou": {str(w): none_if_nan(mean) for w, mean in zip(WIDTHS, means, strict=True)}}
