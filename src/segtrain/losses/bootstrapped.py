"""The bootstrapped cross-entropy: the hardest pixels of each image."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.losses.outputs import images, pixel_losses, weighted_outputs


class Bootstrapped(nn.Module):
    """Cross-entropy of those pixels of each image whose loss is the largest.

    "Full-Resolution Residual Networks ...", Pohlen et al., CVPR 2017. As in the authors' code each
    image is divided by `pixels`, or by its size where that is smaller, also where it has fewer
    annotated pixels: ignored ones then fill up, with a loss of 0.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        pixels: K, those taken of each image.

    Raises:
        InputError: `pixels` is below 1.
    """

    def __init__(self, *, weights: Mapping[str, float], pixels: int):
        super().__init__()
        if pixels < 1:
            raise InputError(f"loss.pixels={pixels}", do="give 1 or more")
        self.weights, self.pixels = dict(weights), pixels

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over the pixels taken (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            hardest = pixel_losses(logits, masks).flatten(1).topk(self._taken(masks), sorted=False).values
            total = total + weight * hardest.sum()
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its images times the pixels taken (float32 scalar)."""
        return images(masks) * self._taken(masks)

    def _taken(self, masks: Tensor) -> int:
        return min(self.pixels, masks.shape[-2] * masks.shape[-1])
