"""DeepLab v2: LargeFOV, ASPP-S and ASPP-L on VGG16; ASPP-L over three scales on ResNet-101.

"DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
Connected CRFs", Chen, Papandreou, Kokkinos, Murphy and Yuille, 2016 (PAMI 2017),
https://arxiv.org/abs/1606.00915.

Score maps of parallel branches with different dilation are summed (section 3.1). On ResNet-101 a
branch is one 3×3 classifier, by the released deeplab_ResNet101/train.prototxt. On VGG16 it is
fc6-fc7-fc8 (section 4.1.2): fc6 and fc7, which start from ImageNet, are the backbone's. The image
is seen at several scales with the same weights, and the maps are fused by their maximum (3.2), in
training too: `loss=deeplabv2` compares each scale's map, and the maximum, with subsampled labels.
Classifiers start from a Gaussian of std 0.01; for VGG16's this is taken from v1.
"""

from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.layers.aspp import ASPP, BranchScores
from segtrain.layers.backbone import Backbone, require_on_pixels
from segtrain.layers.multi_scale import over_scales


class DeepLabV2(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/8⌉+1×⌈(W-1)/8⌉+1},
    and each scale's own logits as scale_100, scale_75, scale_50 (see layers/multi_scale.py).

    Args:
        backbone: its last stage, of stride 8, is scored.
        num_classes: C.
        rates: dilation of the parallel 3×3 classifiers; none of them for 1×1 classifiers.
        branches: how many the backbone's last stage consists of, each with a 1×1 classifier.
        scales: at which the image is seen, 1 among them.

    Raises:
        InputError: a backbone that does not suit; scales without 1, or not above 0.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        rates: tuple[int, ...] = (6, 12, 18, 24),
        branches: int = 1,
        scales: tuple[float, ...] = (1.0,),
    ):
        super().__init__()
        self.backbone = backbone
        require_on_pixels(self, backbone, [32])
        if 1 not in scales or min(scales) <= 0:
            raise InputError(f"model.scales={list(scales)}", do="give positive numbers, 1.0 among them")
        self.scales = tuple(scales)
        channels = backbone.feature_info.channels[32]
        self.score: nn.Module
        if rates:
            self.score = ASPP(channels, num_classes, rates)
        else:
            self.score = BranchScores(channels, num_classes, branches)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return over_scales(self._at_one_scale, images, self.scales)

    def _at_one_scale(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.score(self.backbone(images)[32])}
