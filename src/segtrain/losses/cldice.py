"""The clDice loss: thin structures stay connected."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.losses.outputs import images, weighted_outputs
from segtrain.losses.regions import mean_over_present, probabilities_and_labels

SMOOTH = 1.0  # as the authors' code: an even map has no skeleton yet, and a gradient all the same


class CLDiceLoss(nn.Module):
    """1 - soft-clDice: how much of the mask's centre line is predicted and of the prediction's is in the
    mask, their harmonic mean; the mean over the classes that an image has.

    "clDice - a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", Shit et al.,
    CVPR 2021, https://arxiv.org/abs/2003.07311, Algorithms 1 and 2. The paper adds it to Dice:
    `loss=[dice,cldice]`. Ignored pixels are of no class, in the mask and in the prediction.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        background: the class that is left out; null counts all.
        iterations: k, the erosions: half the width of the widest tube, in pixels.

    Raises:
        InputError: `iterations` is below 1.
    """

    def __init__(self, *, weights: Mapping[str, float], background: int | None = 0, iterations: int = 3):
        super().__init__()
        if iterations < 1:
            raise InputError(
                f"loss.cldice.iterations must be at least 1, got {iterations}",
                do="give half the width of the widest tube",
            )
        self.weights, self.background, self.iterations = dict(weights), background, iterations

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over images (a scalar), to be divided by the step's `count`s."""
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            p, g = probabilities_and_labels(logits, masks)
            kept = [c for c in range(p.shape[1]) if c != self.background]
            p, g = p[:, kept], g[:, kept].to(p.dtype)
            of_p, of_g = (self._skeleton(x, masks.shape[-2:]) for x in (p, g))
            precision = ((of_p * g).sum(2) + SMOOTH) / (of_p.sum(2) + SMOOTH)
            sensitivity = ((of_g * p).sum(2) + SMOOTH) / (of_g.sum(2) + SMOOTH)
            losses = 1 - 2 * precision * sensitivity / (precision + sensitivity)
            total = total + weight * mean_over_present(losses, g).sum()
        return total

    def _skeleton(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        return soft_skeleton(x.unflatten(2, size), self.iterations).flatten(2)

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its images (float32 scalar)."""
        return images(masks)


def soft_skeleton(x: Tensor, iterations: int) -> Tensor:
    """The soft skeleton of maps N×C×H×W in 0..1: what each erosion leaves that an opening takes away."""
    skeleton = F.relu(x - _opened(x))
    for _ in range(iterations):
        x = _eroded(x)
        ridge = F.relu(x - _opened(x))
        skeleton = skeleton + F.relu(ridge - skeleton * ridge)
    return skeleton


def _eroded(x: Tensor) -> Tensor:
    """The smallest of each pixel and its four neighbours; there is nothing beyond the edge."""
    upright, level = (-F.max_pool2d(-x, k, 1, p) for k, p in (((3, 1), (1, 0)), ((1, 3), (0, 1))))
    return torch.minimum(upright, level)


def _opened(x: Tensor) -> Tensor:
    return F.max_pool2d(_eroded(x), 3, 1, 1)
