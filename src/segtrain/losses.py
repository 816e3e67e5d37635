"""Losses: a sum over what counts, and how much counts, so that accumulation and several
processes divide by the same global number (a mean of means is another gradient)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORE = 255


def match_size(logits: Tensor, masks: Tensor, resize: Literal["logits", "labels"]) -> tuple[Tensor, Tensor]:
    """Logits N×C×h×w and masks N×H×W at one size: logits bilinearly up, or labels down (nearest)."""
    if logits.shape[-2:] == masks.shape[-2:]:
        return logits, masks
    if resize == "logits":
        return F.interpolate(logits, masks.shape[-2:], mode="bilinear", align_corners=False), masks
    small = F.interpolate(masks[:, None].float(), logits.shape[-2:], mode="nearest-exact")
    return logits, small[:, 0].to(masks.dtype)


class CrossEntropy(nn.Module):
    """Cross-entropy of the outputs against the labels, void pixels left out.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        normalize: `pixels` divides by the valid pixels of the whole step; `pictures` by its
            pictures, which is Caffe's `normalize: false` and FCN's "unnormalised" loss.
        resize: what is resized where a network's logits are smaller than the labels.
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        normalize: Literal["pixels", "pictures"] = "pixels",
        resize: Literal["logits", "labels"] = "logits",
    ):
        super().__init__()
        self.weights, self.normalize, self.resize = dict(weights), normalize, resize

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for name, weight in self.weights.items():
            logits, labels = match_size(outputs[name].float(), masks, self.resize)
            total = total + weight * F.cross_entropy(
                logits, labels.long(), ignore_index=IGNORE, reduction="sum"
            )
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its valid pixels or its pictures (float32 scalar)."""
        if self.normalize == "pictures":
            return masks.new_tensor(len(masks), dtype=torch.float32)
        return (masks != IGNORE).sum(dtype=torch.float32)
