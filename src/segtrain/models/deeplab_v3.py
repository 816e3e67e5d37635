"""DeepLab v3.

"Rethinking Atrous Convolution for Semantic Image Segmentation", Chen, Papandreou, Schroff and
Adam, 2017, https://arxiv.org/abs/1706.05587.

A ResNet with dilation, whose last blocks are dilated by the multi-grid (section 3.2, a matter of the
backbone), and ASPP with image pooling (section 3.3). The output stride is free, at training and
again at evaluation: dilation and rates follow it, weights stay (Table 6: trained at 16, evaluated at
8). Dropout after ASPP and the scores' initial std of 0.01 are the released code's.
Departs: a layer of the ResNet strides in its first block, as torchvision's weights want it, not in
its last as TensorFlow's; BatchNorm averages its statistics over tens of steps, not over thousands
(0.9997 a step). `head: torchvision` is that library's network, of one more 3×3 convolution.
"""

from typing import Literal

from torch import Tensor, nn

from segtrain.layers.aspp_v3 import ASPPv3
from segtrain.layers.backbone import Backbone
from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.output_stride import set_output_stride
from segtrain.layers.resample import onto_image
from segtrain.layers.score import Score
from segtrain.layers.width import scaled

CHANNELS = 256  # of ASPP
SCORE_STD = 0.01


class DeepLabV3(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/s⌉+1×⌈(W-1)/s⌉+1},
    s the output stride; N×C×H×W where the backbone's cells do not lie on pixel s·i (patches).

    Args:
        backbone: its stage 32 is read, and it has a choice of output strides.
        num_classes: C.
        output_stride: s.
        rates: of ASPP at an output stride of 16; doubled at 8, halved at 32.
        dropout: after ASPP.
        head: between ASPP and the scores: nothing, or torchvision's 3×3 convolution.
        channels: of ASPP.
        project_kernel: of ASPP's last convolution.
        width: multiplies the numbers of channels of ASPP; below 1 for tests only.

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
        dropout: float = 0.1,
        head: Literal["paper", "torchvision"] = "paper",
        channels: int = CHANNELS,
        project_kernel: int = 1,
        width: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        set_output_stride(self, backbone, output_stride, [32])
        channels = scaled(channels, width)
        scaled_rates = [rate * 16 // output_stride for rate in rates]
        self.aspp = ASPPv3(
            backbone.feature_info.channels[32],
            channels,
            rates=scaled_rates,
            dropout=dropout,
            project_kernel=project_kernel,
        )
        self.head = ConvBNReLU(channels, channels, 3) if head == "torchvision" else nn.Sequential()
        self.score = Score(channels, num_classes)
        nn.init.trunc_normal_(self.score.weight, std=SCORE_STD, a=-2 * SCORE_STD, b=2 * SCORE_STD)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs, grid = self.outputs(self.backbone(images)), self.backbone.feature_info.grids[32]
        return {name: onto_image(logits, grid, images.shape[-2:]) for name, logits in outputs.items()}

    def outputs(self, features: dict[int, Tensor]) -> dict[str, Tensor]:
        """The logits of the backbone's features."""
        return {"out": self.score(self.head(self.aspp(features[32])))}
