"""The simple feature pyramid: maps of several strides from the one map of a plain vision transformer.

"Exploring Plain Vision Transformer Backbones for Object Detection", Li, Mao, Girshick and He,
ECCV 2022, https://arxiv.org/abs/2203.16527 (section 3).
"""

from __future__ import annotations

from torch import Tensor, nn

from segtrain.layers.grid import Grid


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of N×C×h×w, at each cell alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PyramidLevel(nn.Sequential):
    """N×C×h×w of stride `stride` to N×`out_channels` maps of stride `level`.

    2×2 transposed convolutions, each of which halves the channels, for finer strides, or 2×2 maximum
    pooling for coarser ones; then a 1×1 and a 3×3 convolution, each with a norm over the channels.

    Args:
        channels: C; out_channels: 256 in the paper.
        stride: of the transformer's map, a power of 2; level: of the output.

    Attributes:
        grid: where the cells lie, those of the input being on `grid`.
    """

    def __init__(self, channels: int, out_channels: int, *, grid: Grid, level: int):
        layers: list[nn.Module] = []
        while grid.stride > level:
            half = max(channels // 2, 1)
            if layers:
                layers += [ChannelNorm(channels), nn.GELU()]
            layers.append(nn.ConvTranspose2d(channels, half, 2, 2))
            channels, grid = half, grid.deconv(2, 2)
        while grid.stride < level:
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
            grid = grid.conv(2, 2)
        layers += [nn.Conv2d(channels, out_channels, 1, bias=False), ChannelNorm(out_channels)]
        layers += [nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), ChannelNorm(out_channels)]
        super().__init__(*layers)
        self.grid = grid
