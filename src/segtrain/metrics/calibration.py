"""Are the probabilities true? The expected calibration error.

"On Calibration of Modern Neural Networks", Guo, Pleiss, Sun and Weinberger, ICML 2017, section 2.
"""

from typing import Any

import numpy as np
import torch

from segtrain.contracts import IGNORE_INDEX, Sample

BINS = 15  # of confidence, equally wide, as in the paper


class Calibration:
    """The gap between confidence, a pixel's largest probability, and accuracy in each bin of
    confidence, weighted by the bin's pixels.

    `sums` is float64 3×15: the pixels of each bin, their confidence, and how many are right.
    """

    def __init__(self):
        self.sums = torch.zeros(3, BINS, dtype=torch.float64)

    def update(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image: the predicted class indices, uint8 H×W, and their probabilities, float32 H×W."""
        known = sample.mask != IGNORE_INDEX
        confidence = confidence[known].astype(np.float64)
        right = labels[known] == sample.mask[known]
        # Bin m holds confidences in (m/15, (m+1)/15].
        bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        for row, weights in enumerate((None, confidence, right)):
            self.sums[row] += torch.from_numpy(np.bincount(bins, weights, BINS).astype(np.float64))

    def compute(self, sums: torch.Tensor) -> dict[str, Any]:
        """The expected calibration error, from the `sums` of all processes, and under `calibration_bins` each
        bin's pixels, mean confidence and accuracy, what a reliability diagram shows."""
        pixels, confidence, right = sums
        error = ((right - confidence).abs().sum() / pixels.sum()).item()
        shares = sums / pixels.clamp(min=1)
        bins = [[int(n), *of_bin] for n, of_bin in zip(pixels, shares[1:].T.tolist(), strict=True)]
        return {"calibration_error": None if np.isnan(error) else error, "calibration_bins": bins}
