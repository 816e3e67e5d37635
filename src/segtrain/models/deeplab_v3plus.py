"""DeepLab v3+.

"Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", Chen, Zhu,
Papandreou, Schroff and Adam, ECCV 2018, https://arxiv.org/abs/1802.02611.

DeepLab v3 is the encoder; a decoder brings its 256 features to stride 4, concatenates 48 channels
of early features of that stride, and refines the two by two 3×3 convolutions (section 4.1, Tables
1 and 2). `separable` makes the 3×3 convolutions of ASPP and decoder depthwise-separable (section
3.1), with BatchNorm and ReLU after both of their parts as in the released code. Dilation and rates
follow the output stride, weights stay. Dropout, the order of concatenation and the scores' initial
std are the released code's too; departures as in DeepLab v3.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from segtrain.layers.aspp_v3 import ASPPv3
from segtrain.layers.backbone import Backbone
from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.grid import crop
from segtrain.layers.output_stride import set_output_stride
from segtrain.layers.resample import lies_on_pixels, needed_cells, onto_image, resample
from segtrain.layers.score import Score
from segtrain.layers.separable import SeparableConv
from segtrain.layers.width import scaled

CHANNELS = 256  # of ASPP and the decoder
LOW_CHANNELS = 48  # of the early features in the decoder
SCORE_STD = 0.01


class DeepLabV3Plus(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/4⌉+1×⌈(W-1)/4⌉+1};
    N×C×H×W where the backbone's cells do not lie on pixel 4·i (patches).

    Args:
        backbone: its stages 4 and 32 are read, and it has a choice of output strides.
        num_classes: C.
        output_stride: of the encoder.
        rates: of ASPP at an output stride of 16; doubled at 8, halved at 32.
        separable: the 3×3 convolutions of ASPP and decoder are depthwise-separable.
        dropout: after ASPP.
        channels: of ASPP and decoder.
        project_kernel: of ASPP's last convolution.
        width: multiplies the numbers of channels of ASPP and decoder; below 1 for tests only.

    Raises:
        InputError: a backbone that does not suit; in training mode, one image.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        output_stride: Literal[8, 16, 32] = 16,
        rates: tuple[int, ...] = (6, 12, 18),
        separable: bool = False,
        dropout: float = 0.1,
        channels: int = CHANNELS,
        project_kernel: int = 1,
        width: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        set_output_stride(self, backbone, output_stride, [4, 32])
        channels, low = (scaled(c, width) for c in (channels, LOW_CHANNELS))
        scaled_rates = [rate * 16 // output_stride for rate in rates]
        self.aspp = ASPPv3(
            backbone.feature_info.channels[32],
            channels,
            rates=scaled_rates,
            separable=separable,
            dropout=dropout,
            project_kernel=project_kernel,
        )
        conv = SeparableConv if separable else ConvBNReLU
        self.low = ConvBNReLU(backbone.feature_info.channels[4], low, 1)
        self.refine = nn.Sequential(conv(channels + low, channels, 3), conv(channels, channels, 3))
        self.score = Score(channels, num_classes)
        nn.init.trunc_normal_(self.score.weight, std=SCORE_STD, a=-2 * SCORE_STD, b=2 * SCORE_STD)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, grids = self.backbone(images), self.backbone.feature_info.grids
        low, size = features[4], images.shape[-2:]
        if lies_on_pixels(grids[4]):
            # The backbone pads images to whole cells of its deepest stage: finer ones may be too many.
            low = crop(low, 0, 0, needed_cells(grids[4], size))
        encoded = resample(self.aspp(features[32]), grids[32], grids[4], low.shape[-2:])
        logits = self.score(self.refine(torch.cat([encoded, self.low(low)], 1)))
        return {"out": onto_image(logits, grids[4], size)}
