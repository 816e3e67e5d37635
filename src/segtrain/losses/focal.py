"""The focal loss: pixels that are right already count little."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segtrain.losses.outputs import pixel_losses, valid_pixels, weighted_outputs
from segtrain.losses.strips import summed


class Focal(nn.Module):
    """Cross-entropy times (1 - p)^gamma, p the probability of the pixel's class.

    "Focal Loss for Dense Object Detection", Lin, Goyal, Girshick, He and Dollár, ICCV 2017,
    https://arxiv.org/abs/1708.02002, equation 4, with softmax instead of sigmoid.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        gamma: 0 is the cross-entropy.
    """

    def __init__(self, *, weights: Mapping[str, float], gamma: float = 2.0):
        super().__init__()
        self.weights, self.gamma = dict(weights), gamma

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            total = total + weight * summed(self._sum_of_pixels, logits, masks)
        return total

    def _sum_of_pixels(self, logits: Tensor, masks: Tensor) -> Tensor:
        losses = pixel_losses(logits, masks)
        return ((1 - (-losses).exp()) ** self.gamma * losses).sum()

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its valid pixels (float32 scalar)."""
        return valid_pixels(masks)
