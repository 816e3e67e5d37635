"""Losses: a sum over what counts, and how much counts, so that accumulation and several
processes divide by the same global number (a mean of means is another gradient)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.sizes import subsample_labels, upsample_logits

IGNORE = 255


class CrossEntropy(nn.Module):
    """Cross-entropy of the outputs against the labels, void pixels left out.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        normalize: `pixels` divides by the valid pixels of the whole step; `pictures` by its
            pictures, which is Caffe's `normalize: false` and FCN's "unnormalised" loss.
        label_stride: 1 upsamples coarse logits to the labels; 8 takes every 8th label instead, for
            networks of stride 8 (how DeepLab v1 and v2 were trained).
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        normalize: Literal["pixels", "pictures"] = "pixels",
        label_stride: int = 1,
    ):
        super().__init__()
        self.weights, self.normalize, self.label_stride = dict(weights), normalize, label_stride

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for name, weight in self.weights.items():
            logits, labels = outputs[name].float(), masks
            if self.label_stride == 1:
                logits = upsample_logits(logits, masks.shape[-2:])
            else:
                labels = subsample_labels(masks, self.label_stride, logits.shape[-2:], IGNORE)
            total = total + weight * F.cross_entropy(
                logits, labels.long(), ignore_index=IGNORE, reduction="sum"
            )
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its valid pixels or its pictures (float32 scalar)."""
        if self.normalize == "pictures":
            return masks.new_tensor(len(masks), dtype=torch.float32)
        used = masks[:, :: self.label_stride, :: self.label_stride]
        return (used != IGNORE).sum(dtype=torch.float32)
