"""The binary cross-entropy: every class's yes or no at a pixel."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import InputError
from segtrain.losses.outputs import valid_pixels, weighted_outputs
from segtrain.losses.strips import summed


class BCE(nn.Module):
    """Binary cross-entropy of sigmoids against the labels, ignored pixels left out.

    Two classes have one logit, the difference of theirs: this is their cross-entropy, and what
    `task=binary` and `task=multilabel` train with. More classes are one yes or no each, "this class or
    any other", and the mean over the classes counts.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        positive_weight: factor of the pixels that are of the class: above 1 for rare objects.

    Raises:
        InputError: `positive_weight` is not above 0.

    Example:
        >>> loss = BCE(weights={"out": 1.0})
        >>> loss({"out": torch.zeros(1, 2, 4, 4)}, masks) / loss.count(masks)
    """

    def __init__(self, *, weights: Mapping[str, float], positive_weight: float = 1.0):
        super().__init__()
        if not 0 < positive_weight < float("inf"):
            raise InputError(
                f"loss.bce.positive_weight must be above 0, got {positive_weight}", do="1 weighs all alike"
            )
        self.weights, self.positive_weight = dict(weights), positive_weight

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            total = total + weight * summed(self._sum_of_pixels, logits, masks)
        return total

    def _sum_of_pixels(self, logits: Tensor, masks: Tensor) -> Tensor:
        if logits.shape[1] == 2:
            logits, classes = logits[:, 1:] - logits[:, :1], torch.ones(1, device=logits.device)
        else:
            classes = torch.arange(logits.shape[1], device=logits.device)
        target = (masks[:, None] == classes.view(-1, 1, 1)).to(logits.dtype)
        valid = (masks != IGNORE_INDEX)[:, None].to(logits.dtype).expand_as(logits)
        losses = F.binary_cross_entropy_with_logits(
            logits, target, valid, pos_weight=logits.new_tensor(self.positive_weight), reduction="sum"
        )
        return losses / logits.shape[1]

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its valid pixels (float32 scalar)."""
        return valid_pixels(masks)
