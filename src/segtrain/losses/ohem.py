"""Online hard example mining: the uncertain pixels of each image."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import InputError
from segtrain.losses.outputs import images, pixel_losses, weighted_outputs


class OHEM(nn.Module):
    """Cross-entropy of the pixels whose true class has a low probability, and of enough others.

    Online hard example mining (Shrivastava, Gupta and Girshick, CVPR 2016,
    https://arxiv.org/abs/1604.03540) as segmentation has it: the mean over the pixels kept of each
    image. Kept are those of a probability below `threshold`, and at least the `min_kept` hardest.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        threshold: from 0 to 1.
        min_kept: of each image.

    Raises:
        InputError: `threshold` or `min_kept` is out of its range.
    """

    def __init__(self, *, weights: Mapping[str, float], threshold: float = 0.7, min_kept: int = 10000):
        super().__init__()
        if not 0 < threshold <= 1 or min_kept < 1:
            raise InputError(
                f"loss.threshold={threshold}, loss.min_kept={min_kept}",
                do="give a threshold from 0 to 1, and 1 or more pixels",
            )
        self.weights, self.threshold, self.min_kept = dict(weights), threshold, min_kept

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum of the images' means (a scalar), to be divided by the step's `count`s."""
        annotated = (masks != IGNORE_INDEX).flatten(1).sum(1)
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            hardest = pixel_losses(logits, masks).flatten(1).sort(1, descending=True).values
            low = (hardest > -torch.tensor(self.threshold).log()).sum(1)
            kept = torch.maximum(low, annotated.clamp(max=self.min_kept))
            sums = hardest.cumsum(1).gather(1, (kept - 1).clamp(min=0)[:, None])[:, 0]
            total = total + weight * (sums / kept.clamp(min=1)).sum()
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its images (float32 scalar)."""
        return images(masks)
