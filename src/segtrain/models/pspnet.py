"""PSPNet.

"Pyramid Scene Parsing Network", Zhao, Shi, Qi, Wang and Jia, CVPR 2017,
https://arxiv.org/abs/1612.01105.

A ResNet whose last two layers are dilated instead of strided; its features are pooled to 1, 2, 3
and 6 bins, brought back and concatenated (section 3.2, Figure 3); one 3×3 convolution, and the
scores. While training, layer3 is scored as well (section 4; `loss=aux` weighs it by 0.4).
Head and initial values are the released networks' (3×3 convolution of 512 channels, dropout of
0.1, "msra"). Maximum pooling and other bins are Table 1's; its baseline is in fcn_resnet.py.
"""

from typing import Literal

from torch import Tensor, nn

from segtrain.layers.backbone import Backbone
from segtrain.layers.fcn_head import fcn_head
from segtrain.layers.output_stride import set_output_stride
from segtrain.layers.pyramid_pooling import PyramidPooling
from segtrain.layers.resample import onto_image
from segtrain.layers.width import scaled

HEAD, AUX = 512, 256  # channels of the 3×3 convolutions before the scores


class PSPNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/s⌉+1×⌈(W-1)/s⌉+1},
    s the output stride, and while training `aux`, of the same shape; N×C×H×W where the backbone's cells
    do not lie on pixel s·i (patches).

    Args:
        backbone: stages 32 (for the pyramid) and 16 (for `aux`), with a choice of output strides.
        num_classes: C.
        output_stride: s, 8 in the paper.
        bins: on a side, of each level of the pyramid.
        pooling: within a bin.
        aux: with the auxiliary head.
        width: multiplies the numbers of channels of the heads; below 1 for tests only.

    Raises:
        InputError: a backbone that does not suit; in training mode, one image.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        output_stride: Literal[8, 16, 32] = 8,
        bins: tuple[int, ...] = (1, 2, 3, 6),
        pooling: Literal["average", "maximum"] = "average",
        aux: bool = True,
        width: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        set_output_stride(self, backbone, output_stride, [16, 32])
        deep, middle = (backbone.feature_info.channels[stage] for stage in (32, 16))
        self.pyramid = PyramidPooling(deep, bins=bins, pooling=pooling)
        self.head = fcn_head(self.pyramid.out_channels, scaled(HEAD, width), num_classes)
        self.aux = fcn_head(middle, scaled(AUX, width), num_classes) if aux else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs, grids = self.outputs(self.backbone(images)), self.backbone.feature_info.grids
        stages = {"out": 32, "aux": 16}
        return {k: onto_image(logits, grids[stages[k]], images.shape[-2:]) for k, logits in outputs.items()}

    def outputs(self, features: dict[int, Tensor]) -> dict[str, Tensor]:
        """The logits of the backbone's features, and while training the auxiliary ones."""
        outputs = {"out": self.head(self.pyramid(features[32]))}
        if self.training and self.aux is not None:
            outputs["aux"] = self.aux(features[16])
        return outputs
