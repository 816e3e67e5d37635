"""The Tversky loss: Dice with a price for each kind of mistake."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.losses.outputs import images, weighted_outputs
from segtrain.losses.regions import mean_over_present, probabilities_and_labels


class Tversky(nn.Module):
    """1 - TP / (TP + alpha·FP + beta·FN), soft, the mean over the classes that an image has, ignored
    pixels left out.

    "Tversky loss function for image segmentation using 3D fully convolutional deep networks", Salehi,
    Erdogmus and Gholipour, MLMI 2017, https://arxiv.org/abs/1706.05721, equation 2 for each class;
    `alpha` and `beta` are those of its best row (Table 1). At 0.5 and 0.5 it is the Dice loss.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        alpha: the price of false positives.
        beta: the price of false negatives: above `alpha`, small objects are missed less often.

    Raises:
        InputError: a price is negative, or both are 0.
    """

    def __init__(self, *, weights: Mapping[str, float], alpha: float = 0.3, beta: float = 0.7):
        super().__init__()
        if not (alpha >= 0 and beta >= 0 and 0 < alpha + beta < float("inf")):
            raise InputError(
                f"loss.tversky.alpha and beta must be from 0 up and not both 0, got {alpha} and {beta}",
                do="the paper's best are 0.3 and 0.7",
            )
        self.weights, self.alpha, self.beta = dict(weights), alpha, beta

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over images (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            p, g = probabilities_and_labels(logits, masks)
            hits, predicted, target = (p * g).sum(2), p.sum(2), g.sum(2)
            false = self.alpha * (predicted - hits) + self.beta * (target - hits)
            losses = 1 - hits / (hits + false).clamp(min=1e-6)
            total = total + weight * mean_over_present(losses, g).sum()
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its images (float32 scalar)."""
        return images(masks)
