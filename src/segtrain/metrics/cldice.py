"""clDice: are thin structures connected as in the mask?"""

import numpy as np
import torch

from segtrain.contracts import Sample
from segtrain.metrics.borders import classes_in, none_if_nan, with_ignored_of
from segtrain.metrics.thinning import thinned


class CLDice:
    """The harmonic mean of two shares: of the prediction's centre line that is in the mask, and of the
    mask's that is predicted. "clDice", Shit et al., CVPR 2021, equations 1 to 3, with skeletons by
    thinning (Guo and Hall 1989).

    A class that is in one of mask and prediction only scores 0, one that is in neither is in no mean. The
    mean is over the images of each class, then over the classes. Ignored pixels belong to no class.

    `sums` is float64 2×C: the scores, and how many there are.

    Args:
        num_classes: C.
        background: the class that is left out; null counts all.
    """

    def __init__(self, *, num_classes: int, background: int | None = 0):
        self.background = background
        self.sums = torch.zeros(2, num_classes, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the predicted class indices, uint8 H×W."""
        predicted = with_ignored_of(sample.mask, labels)
        for c in classes_in(sample.mask, predicted):
            if c != self.background:
                score = centreline_dice(sample.mask == c, predicted == c)
                self.sums[:, c] += torch.tensor([score, 1])

    def compute(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The mean over the classes that occur, from the `sums` of all processes."""
        return {"cldice": none_if_nan((sums[0] / sums[1]).nanmean().item())}


def centreline_dice(target: np.ndarray, predicted: np.ndarray) -> float:
    """clDice of two regions, bool H×W, of which one is not empty."""
    if not target.any() or not predicted.any():
        return 0.0
    precision = target[thinned(predicted)].mean()
    sensitivity = predicted[thinned(target)].mean()
    both = precision + sensitivity
    return float(2 * precision * sensitivity / both) if both else 0.0
