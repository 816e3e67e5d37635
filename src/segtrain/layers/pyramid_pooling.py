"""The pyramid pooling module of PSPNet (Zhao et al. 2017, section 3.2)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.layers.batch_statistics import require_batch_statistics
from segtrain.layers.conv_bn_relu import ConvBNReLU


class PyramidPooling(nn.Module):
    """N×C×h×w to N×`out_channels`×h×w: the features, then those pooled to b×b bins for every b of `bins`.

    Pooled features go through a 1×1 convolution to C / (number of pyramid levels) channels, with
    BatchNorm and ReLU, and are brought back to h×w bilinearly, corners aligned by default.

    Args:
        channels: C.
        bins: b of each level; without any the features stay as they are.
        pooling: within a bin.
        align_corners: how pooled features are brought back.

    Attributes:
        out_channels: channels of the output.

    Raises:
        InputError: in training mode, one image and a level of one bin.
    """

    def __init__(
        self,
        channels: int,
        *,
        bins: Sequence[int],
        pooling: Literal["average", "maximum"],
        align_corners: bool = True,
    ):
        super().__init__()
        self.align_corners = align_corners
        self.bins = tuple(bins)
        self.pool = F.adaptive_avg_pool2d if pooling == "average" else F.adaptive_max_pool2d
        reduced = max(channels // max(len(bins), 1), 1)
        self.levels = nn.ModuleList(ConvBNReLU(channels, reduced, 1) for _ in bins)
        self.out_channels = channels + reduced * len(bins)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for bins, level in zip(self.bins, self.levels, strict=True):
            pooled = self.pool(x, bins)
            require_batch_statistics(level.get_submodule("1"), pooled)
            maps.append(
                F.interpolate(level(pooled), x.shape[-2:], mode="bilinear", align_corners=self.align_corners)
            )
        return torch.cat(maps, 1)
