"""What losses of a class's region in an image share: Dice and Lovász-softmax."""

from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import IGNORE_INDEX
from segtrain.sizes import upsample_logits


def probabilities_and_labels(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax and one-hot labels, float32 N×C×(H·W) each, both 0 at ignored pixels."""
    p = upsample_logits(logits, masks.shape[-2:]).softmax(1)
    valid = (masks != IGNORE_INDEX)[:, None]
    g = F.one_hot(masks.long().masked_fill(~valid[:, 0], 0), p.shape[1]).permute(0, 3, 1, 2)
    return (p * valid).flatten(2), (g * valid).flatten(2).float()


def mean_over_present(losses: Tensor, g: Tensor) -> Tensor:
    """N×C to N: the mean over the classes with an annotated pixel, 0 where there is none."""
    present = g.any(2)
    return (losses * present).sum(1) / present.sum(1).clamp(min=1)
