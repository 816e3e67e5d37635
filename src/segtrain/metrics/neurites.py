"""V_rand and V_info of the ISBI 2012 challenge: are the cells separated?

"Crowdsourcing the creation of image segmentation algorithms for connectomics", Arganda-Carreras
et al., Frontiers in Neuroanatomy 2015. A pixel of membrane too few merges two cells, which the
region metrics hardly notice and these do.
"""

import cv2
import numpy as np
import torch
from scipy import ndimage

from segtrain.contracts import Sample
from segtrain.errors import InputError

CELL = 1
THRESHOLDS = np.arange(11) / 10  # of the probability of `cell`; the best one counts


class Neurites:
    """Sums over images of V_rand and V_info at every threshold, float32 12×2: the last row
    counts the images, so that several processes can add theirs up.

    Cells are 4-connected components. The challenge thins the membranes of the prediction to lines;
    here every membrane pixel goes to the nearest cell, which differs by those lines alone.

    Args:
        num_classes: must be 2: membrane and cell.

    Raises:
        InputError: another number of classes.
    """

    def __init__(self, *, num_classes: int):
        if num_classes != 2:
            raise InputError(
                f"metric=neurites: data must have 2 classes, membrane and cell, got {num_classes}",
                do="leave the metric out",
            )
        self.sums = torch.zeros(len(THRESHOLDS) + 1, 2)

    def update(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image: the predicted class of the two, uint8 H×W, and its probability, float32 H×W."""
        truth = components(sample.mask == CELL)
        inside = np.where(labels == CELL, confidence, 1 - confidence)
        for row, threshold in enumerate(THRESHOLDS):
            cells = fill_with_nearest(components(inside > threshold))
            self.sums[row] += torch.tensor(rand_and_information(cells, truth))
        self.sums[-1] += 1

    def compute(self, sums: torch.Tensor) -> dict[str, float]:
        """The means at the best threshold of each, from the `sums` of all processes."""
        rand, information = (sums[:-1] / sums[-1]).max(0).values.tolist()
        return {"v_rand": rand, "v_info": information}


def components(inside: np.ndarray) -> np.ndarray:
    """int32 H×W: 0 outside, 1, 2, ... for the 4-connected regions of a bool H×W."""
    return cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1]


def fill_with_nearest(segments: np.ndarray) -> np.ndarray:
    """Each pixel of no segment given to the nearest one."""
    if not segments.any():
        return segments
    rows, columns = ndimage.distance_transform_edt(segments == 0, return_distances=False, return_indices=True)
    return segments[rows, columns]


def rand_and_information(proposal: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """V_rand and V_info (alpha = 0.5) of two segmentations, int H×W, where `truth` is not 0.

    With p_ij the share of pixels in segment i of the proposal and j of the truth and s_i, t_j its
    sums: 2 Σ p_ij² / (Σ s_i² + Σ t_j²), and twice the mutual information by the sum of entropies.
    """
    inside = truth > 0
    pairs = proposal[inside].astype(np.int64) * (int(truth.max()) + 1) + truth[inside]
    p = _shares(pairs)
    s, t = _shares(proposal[inside]), _shares(truth[inside])
    rand = 2 * np.square(p).sum() / (np.square(s).sum() + np.square(t).sum())
    entropies = _entropy(s) + _entropy(t)
    information = entropies - _entropy(p)
    return float(rand), float(2 * information / entropies) if entropies else 1.0


def _shares(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_counts=True)[1] / max(values.size, 1)


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log(shares)).sum())
