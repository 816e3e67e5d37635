"""A ResNet under one 3×3 convolution: PSPNet's baseline, torchvision's `fcn_resnet50`.

"Pyramid Scene Parsing Network", Zhao, Shi, Qi, Wang and Jia, CVPR 2017,
https://arxiv.org/abs/1612.01105, Table 1: the dilated ResNet without the pyramid.

The form is torchvision's: its head, dropout of 0.1, an auxiliary head on layer3, images that are not
padded, cells in the middle of their shares of the image, and logits at the image's size.
Departs: a choice of output strides; initial values are those of PSPNet's head.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.layers.backbone import Backbone, require_choice_of_padding, require_on_pixels
from segtrain.layers.fcn_head import fcn_head
from segtrain.layers.output_stride import set_output_stride
from segtrain.layers.width import scaled

HEAD, AUX = 512, 256  # channels of the 3×3 convolutions before the scores


class FCNResNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}, and while training
    `aux`, of the same shape.

    Args:
        backbone: stages 32 and 16 (for `aux`), with a choice of output strides and of padding.
        num_classes: C.
        output_stride: of the deepest features.
        aux: with the auxiliary head.
        width: multiplies the numbers of channels of the heads; below 1 for tests only.

    Raises:
        InputError: a backbone that does not suit.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        output_stride: Literal[8, 16, 32] = 8,
        aux: bool = True,
        width: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        set_output_stride(self, backbone, output_stride, [16, 32])
        require_on_pixels(self, backbone, [16, 32])
        require_choice_of_padding(self, backbone)
        channels = backbone.feature_info.channels
        self.head = fcn_head(channels[32], scaled(HEAD, width), num_classes)
        self.aux = fcn_head(channels[16], scaled(AUX, width), num_classes) if aux else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images, whole_cells=False)
        outputs = {"out": self.head(features[32])}
        if self.training and self.aux is not None:
            outputs["aux"] = self.aux(features[16])
        size = list(images.shape[-2:])
        return {
            name: F.interpolate(logits, size, mode="bilinear", align_corners=False)
            for name, logits in outputs.items()
        }
