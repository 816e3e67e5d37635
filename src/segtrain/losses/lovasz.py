"""Lovász-softmax."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segtrain.contracts import IGNORE_INDEX
from segtrain.losses.outputs import images, weighted_outputs
from segtrain.losses.regions import mean_over_present, probabilities_and_labels


class Lovasz(nn.Module):
    """Lovász-softmax: a convex extension of 1 - IoU, the mean over the classes that an image has.

    "The Lovász-Softmax Loss", Berman, Rannen Triki and Blaschko, CVPR 2018,
    https://arxiv.org/abs/1705.08790: errors |g - p| in falling order times the growth of
    1 - IoU as pixel after pixel is added. Per image, ignored pixels left out.

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
            # At ignored pixels p = g = 0: the error is 0, they come last, and the union is without them.
            errors, order = (g - p).abs().sort(2, descending=True)
            sorted_g = g.gather(2, order)
            counted = (masks != IGNORE_INDEX).flatten(1)[:, None].expand_as(order).gather(2, order)
            missed = g.sum(2, keepdim=True) - sorted_g.cumsum(2)
            union = g.sum(2, keepdim=True) + (counted * (1 - sorted_g)).cumsum(2)
            one_minus_iou = 1 - missed / union.clamp(min=1)
            growth = torch.diff(one_minus_iou, prepend=torch.zeros_like(one_minus_iou[:, :, :1]), dim=2)
            total = total + weight * mean_over_present((errors * growth).sum(2), g).sum()
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its images (float32 scalar)."""
        return images(masks)
