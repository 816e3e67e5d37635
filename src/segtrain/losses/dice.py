"""Soft Dice."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segtrain.losses.outputs import images, weighted_outputs
from segtrain.losses.regions import mean_over_present, probabilities_and_labels


class Dice(nn.Module):
    """1 - 2Σpg / (Σp + Σg) with p the probabilities and g the labels of a class: the mean over the
    classes that an image has, ignored pixels left out.

    The soft Dice loss of "V-Net", Milletari, Navab and Ahmadi, 3DV 2016, https://arxiv.org/abs/1606.04797,
    without the squares of its denominator.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
    """

    def __init__(self, *, weights: Mapping[str, float]):
        super().__init__()
        self.weights = dict(weights)

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over images (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            p, g = probabilities_and_labels(logits, masks)
            common, sizes = (p * g).sum(2), (p + g).sum(2)
            losses = 1 - 2 * common / sizes.clamp(min=1e-6)
            total = total + weight * mean_over_present(losses, g).sum()
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its images (float32 scalar)."""
        return images(masks)
