"""HD95: how far apart the borders of mask and prediction are, in pixels."""

import numpy as np
import torch

from segtrain.contracts import Sample
from segtrain.metrics.borders import class_border, classes_in, distance_to, with_ignored_of

PERCENTILE = 95


class HD95:
    """The 95th percentile of the Hausdorff distance, in pixels: 95 % of a class's border in the mask is
    nearer to its border in the prediction, and the other way round; the larger of the two. Huttenlocher
    et al., PAMI 1993, section 3 (the partial distance); BraTS reports it so.

    A class of an image is undefined where it is in one of mask and prediction only: it is in no mean, and
    `hd95_undefined` counts such cases. The mean is over the images of each class, then over the classes.
    Ignored pixels belong to no class, in either.

    `sums` is float64 3×C: the distances, how many there are, and how many were undefined.

    Args:
        num_classes: C.
        background: the class that is left out; null counts all.
    """

    def __init__(self, *, num_classes: int, background: int | None = 0):
        self.background = background
        self.sums = torch.zeros(3, num_classes, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the predicted class indices, uint8 H×W."""
        predicted = with_ignored_of(sample.mask, labels)
        for c in classes_in(sample.mask, predicted):
            if c == self.background:
                continue
            distance = hausdorff_95(sample.mask == c, predicted == c)
            if distance is None:
                self.sums[2, c] += 1
            else:
                self.sums[:2, c] += torch.tensor([distance, 1])

    def compute(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The mean in pixels, None where no class of any image has one, and the undefined cases."""
        present = sums[1] > 0
        mean = (sums[0] / sums[1])[present].mean().item() if present.any() else None
        return {"hd95": mean, "hd95_undefined": int(sums[2].sum())}


def hausdorff_95(target: np.ndarray, predicted: np.ndarray) -> float | None:
    """The larger of the two directed 95th percentiles between the borders of two regions, bool H×W, in
    pixels; None where one of them is empty."""
    if not target.any() or not predicted.any():
        return None
    borders = class_border(target, 1), class_border(predicted, 1)
    directed = [np.percentile(distance_to(other)[own], PERCENTILE) for own, other in (borders, borders[::-1])]
    return float(max(directed))
