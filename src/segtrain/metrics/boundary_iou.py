"""Boundary IoU."""

import numpy as np
import torch

from segtrain.contracts import Sample
from segtrain.metrics.borders import class_border, classes_in, none_if_nan, with_ignored_of

DIAGONAL_SHARE = 0.02  # the width of a border


class BoundaryIoU:
    """The IoU of the classes' borders, mean over classes: Cheng, Girshick, Dollár, Berg and
    Kirillov, "Boundary IoU", CVPR 2021. A class's border is those of its pixels that are within 2 %
    of the image's diagonal from a pixel of another class or the image's edge.

    `sums` is float64 2×C: the pixels in both borders and in either, over all images.
    """

    def __init__(self, *, num_classes: int):
        self.sums = torch.zeros(2, num_classes, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the predicted class indices, uint8 H×W."""
        predicted = with_ignored_of(sample.mask, labels)
        width = max(1, round(DIAGONAL_SHARE * np.hypot(*sample.mask.shape)))
        for c in classes_in(sample.mask, predicted):
            in_mask, in_prediction = (
                class_border(sample.mask == c, width),
                class_border(predicted == c, width),
            )
            self.sums[0, c] += int((in_mask & in_prediction).sum())
            self.sums[1, c] += int((in_mask | in_prediction).sum())

    def compute(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The mean over the classes that occur, from the `sums` of all processes."""
        return {"boundary_iou": none_if_nan((sums[0] / sums[1]).nanmean().item())}
