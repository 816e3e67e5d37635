"""The boundary loss: probability times the signed distance to the object's contour."""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.losses.outputs import valid_pixels, weighted_outputs
from segtrain.losses.regions import probabilities_and_labels


class Boundary(nn.Module):
    """The sum over pixels of a class's probability times its signed distance to the class's contour in
    the mask, in pixels: negative inside, positive outside, 0 on the contour.

    "Boundary loss for highly unbalanced segmentation", Kervadec, Bouchtiba, Desrosiers, Granger, Dolz
    and Ben Ayed, MIDL 2019, https://arxiv.org/abs/1812.07032, equation 5. It says where the contour is
    and not how large the object should be: add it to another loss, `loss=[dice,boundary]`. As in the
    authors' code the mean over the classes counts, contour pixels belong to the class, and a class that
    has none, being nowhere or everywhere in an image, costs nothing. Ignored pixels belong to no class.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        background: the class that is left out; null counts all.
        initial: factor of the loss at the first step, which rises linearly to 1 at the last (the paper
            begins at 0.01 too).

    Attributes:
        progress: the share of the training that is done; set by who trains.

    Raises:
        InputError: `initial` is not from 0 to 1.
    """

    def __init__(self, *, weights: Mapping[str, float], background: int | None = 0, initial: float = 1.0):
        super().__init__()
        if not 0 <= initial <= 1:
            raise InputError(
                f"loss.boundary.initial must be from 0 to 1, got {initial}", do="1 weighs every step alike"
            )
        self.weights, self.background, self.initial = dict(weights), background, initial
        self.progress = 0.0

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        factor = self.initial + (1 - self.initial) * self.progress
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        distances: Tensor | None = None
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            p, _ = probabilities_and_labels(logits, masks)
            if distances is None:
                distances = self._distances(masks, p.shape[1])
            classes = max(p.shape[1] - (self.background is not None), 1)
            total = total + factor * weight / classes * (p * distances).sum()
        return total

    def _distances(self, masks: Tensor, classes: int) -> Tensor:
        """float32 N×C×(H·W) on the masks' device; 0 for the background."""
        labels = masks.cpu().numpy()
        result = np.zeros((len(labels), classes, labels[0].size), np.float32)
        for image, mask in enumerate(labels):
            for c in range(classes):
                if c != self.background:
                    result[image, c] = signed_distance(mask == c).ravel()
        return torch.from_numpy(result).to(masks.device)

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its valid pixels (float32 scalar)."""
        return valid_pixels(masks)


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """float32 H×W: how far each pixel of a bool H×W is from the region's contour, negative inside; 0
    everywhere where there is no contour."""
    if inside.all() or not inside.any():
        return np.zeros(inside.shape, np.float32)
    within, beyond = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for side in (inside, ~inside)
    )
    return np.where(inside, 1 - within, beyond)
