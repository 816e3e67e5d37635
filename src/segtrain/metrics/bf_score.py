"""The BF score: the F1 score of contours."""

import numpy as np
import torch

from segtrain.contracts import Sample
from segtrain.metrics.borders import classes_in, contours, distance_to, none_if_nan, with_ignored_of

TOLERANCE = 0.0075  # of the diagonal, within which two contours match


class BFScore:
    """The F1 score of contours: Csurka et al., BMVC 2013, as SegNet reports it (section 3.3, Table 3).

    Precision is the share of a class's predicted contour within 0.75 % of the diagonal of the
    mask's one, recall the reverse. Mean over an image's classes with a contour in the mask, then over
    the images that have one. SegNet's script also counts classes that are predicted alone, and
    matches contour pixels one to one.

    `sums` is float64 2: the images' scores, and their number.
    """

    def __init__(self):
        self.sums = torch.zeros(2, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the predicted class indices, uint8 H×W."""
        predicted = with_ignored_of(sample.mask, labels)
        tolerance = TOLERANCE * np.hypot(*sample.mask.shape)
        in_mask, in_prediction = contours(sample.mask), contours(predicted)
        of_classes = []
        for c in classes_in(sample.mask[in_mask]):
            of_classes.append(
                contour_f1(in_mask & (sample.mask == c), in_prediction & (predicted == c), tolerance)
            )
        if of_classes:
            self.sums += torch.tensor([np.mean(of_classes), 1], dtype=torch.float64)

    def compute(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The mean over images, from the `sums` of all processes."""
        return {"bf_score": none_if_nan((sums[0] / sums[1]).item())}


def contour_f1(target: np.ndarray, predicted: np.ndarray, tolerance: float) -> float:
    """2PR / (P + R) of two contours, bool H×W, met where the other is within `tolerance` pixels."""
    if not predicted.any():
        return 0.0
    precision = (distance_to(target)[predicted] <= tolerance).mean()
    recall = (distance_to(predicted)[target] <= tolerance).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
