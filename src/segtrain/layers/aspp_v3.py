"""Atrous spatial pyramid pooling of DeepLab v3 (Chen et al. 2017, section 3.3) and v3+."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segtrain.layers.batch_statistics import require_batch_statistics
from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.separable import SeparableConv


class ASPPv3(nn.Module):
    """N×C×h×w to N×`out_channels`×h×w: five views of the features, concatenated and projected.

    A 1×1 convolution, a 3×3 one for each rate, and image pooling: the mean over all cells through
    a 1×1 convolution. Each has `out_channels` channels, BatchNorm and ReLU, as has the 1×1 projection.

    Args:
        channels: C.
        out_channels: 256 in the papers.
        rates: dilations of the 3×3 convolutions.
        separable: the 3×3 convolutions are depthwise-separable (v3+).
        dropout: after the projection.
        project_kernel: of the projection; mmsegmentation's is 3×3.

    Raises:
        InputError: in training mode, one image.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        rates: Sequence[int],
        separable: bool = False,
        dropout: float = 0.1,
        project_kernel: int = 1,
    ):
        super().__init__()
        conv = SeparableConv if separable else ConvBNReLU
        atrous = [conv(channels, out_channels, 3, dilation=rate) for rate in rates]
        self.views = nn.ModuleList([ConvBNReLU(channels, out_channels, 1), *atrous])
        self.image_pooling = ConvBNReLU(channels, out_channels, 1)
        self.project = ConvBNReLU(out_channels * (len(rates) + 2), out_channels, project_kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        require_batch_statistics(self.image_pooling[1], mean)
        image = self.image_pooling(mean).expand(-1, -1, *x.shape[-2:])
        views = [view(x) for view in self.views]
        return self.dropout(self.project(torch.cat([*views, image], 1)))
