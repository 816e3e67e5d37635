"""Atrous spatial pyramid pooling of DeepLab v2 (Chen et al. 2016, section 3.1): summed score maps."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from segtrain.layers.score import Score

STD = 0.01


class ASPP(nn.Module):
    """N×channels×h×w to N×C×h×w: the sum of 3×3 classifiers with dilation of `rates` (on ResNet-101).

    Args:
        channels: of the input; num_classes: C; rates: one a classifier.
    """

    def __init__(self, channels: int, num_classes: int, rates: Sequence[int]):
        super().__init__()
        scores = [Score(channels, num_classes, kernel=3) for _ in rates]
        self.scores = nn.ModuleList(scores)
        for score, rate in zip(scores, rates, strict=True):
            score.dilation = score.padding = (rate, rate)
            nn.init.normal_(score.weight, std=STD)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, sum(score(x) for score in self.scores))


class BranchScores(nn.Module):
    """N×channels×h×w to N×C×h×w: the sum of a 1×1 classifier a branch (on VGG16).

    Args:
        channels: of all branches, which lie one after the other; num_classes: C; branches: how many.
    """

    def __init__(self, channels: int, num_classes: int, branches: int):
        super().__init__()
        scores = [Score(channels // branches, num_classes) for _ in range(branches)]
        self.scores = nn.ModuleList(scores)
        for score in scores:
            nn.init.normal_(score.weight, std=STD)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.scores), 1)
        return cast(Tensor, sum(score(part) for score, part in zip(self.scores, parts, strict=True)))
