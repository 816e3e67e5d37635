"""What every loss has in common: the weighted outputs, against labels of full size.

A loss is called with a model's outputs and the masks N×H×W and gives a sum; `count(masks)` is what
the batch adds to the divisor. So accumulation and several processes divide by the same global
number: a mean of means is another gradient.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import InputError
from segtrain.sizes import upsample_logits


def weighted_outputs(
    outputs: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Iterator[tuple[str, Tensor, float]]:
    """Name, logits (float32 at least) and weight of each output that `weights` names. Raises InputError."""
    check_outputs(outputs, weights)
    for name, weight in weights.items():
        logits = outputs[name]
        yield name, logits.to(torch.promote_types(logits.dtype, torch.float32)), weight


def check_outputs(outputs: Mapping[str, Tensor], weights: Mapping[str, float], term: str = "") -> None:
    """Raises InputError where the loss named `term` weighs an output that the model does not give."""
    key = f"loss.{term}.weights" if term else "loss.weights"
    for name in weights:
        if name not in outputs:
            raise InputError(
                f"{key}.{name}: the model gives {', '.join(outputs)} in training",
                do="choose another loss=, or the model's option that gives it",
            )


def pixel_losses(logits: Tensor, masks: Tensor) -> Tensor:
    """The cross-entropy of each pixel, float32 N×H×W, 0 at ignored ones; logits may be coarse."""
    logits = upsample_logits(logits, masks.shape[-2:])
    return F.cross_entropy(logits, masks.long(), ignore_index=IGNORE_INDEX, reduction="none")


def valid_pixels(masks: Tensor) -> Tensor:
    """A float32 scalar."""
    return (masks != IGNORE_INDEX).sum(dtype=torch.float32)


def images(masks: Tensor) -> Tensor:
    """A float32 scalar on the masks' device."""
    return torch.full((), len(masks), dtype=torch.float32, device=masks.device)
