"""Deep Contextual Networks.

"Deep Contextual Networks for Neuronal Structure Segmentation", Chen, Qi, Cheng and Heng, AAAI 2016.

Features of three depths are scored, brought to the image's size by deconvolutions and summed; in
training each depth's map is classified by itself too, under a weight that falls from 1.
Rebuilt from the paper's outline, without released code to check against; the widths are ours. The
backbone is VGG16's conv1_1 to conv4_3, tapped at conv2_2, conv3_3 and conv4_3; each level has a 3×3
convolution that keeps the channels and a 1×1 one to the classes, which makes up the outline's 16
convolutions, 3 poolings and 3 deconvolutions of kernel 2k and stride k = 2, 4, 8. Deconvolutions start
bilinear and scores from a Gaussian of std 0.01, also ours. The paper's backbone starts from DeepLab
trained on VOC: `init_from` a run of deeplabv1; `model.backbone.pretrained=true` is ImageNet's.
"""

from typing import cast

import torch
from torch import Tensor, nn

from segtrain.layers.backbone import Backbone, require_strides
from segtrain.layers.bilinear import bilinear_kernel
from segtrain.layers.grid import crop
from segtrain.layers.init import he_normal
from segtrain.layers.score import Score

STRIDES = (2, 4, 8)


def level(channels: int, num_classes: int, stride: int) -> nn.Sequential:
    """N×channels×h×w to scores N×C×(stride·h)×(stride·w)."""
    score = Score(channels, num_classes)
    nn.init.normal_(score.weight, std=0.01)
    deconv = nn.ConvTranspose2d(num_classes, num_classes, 2 * stride, stride, padding=stride // 2)
    nn.init.zeros_(deconv.weight)
    assert deconv.bias is not None
    nn.init.zeros_(deconv.bias)
    with torch.no_grad():
        deconv.weight[range(num_classes), range(num_classes)] = bilinear_kernel(2 * stride)
    context = nn.Conv2d(channels, channels, 3, padding=1)
    he_normal(context)
    return nn.Sequential(context, nn.ReLU(inplace=True), score, deconv)


class DCN(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    While training also `level1`, `level2` and `level3`, the summands at strides 2, 4 and 8.

    Args:
        backbone: gives features of strides 2, 4 and 8.
        num_classes: C.
    """

    backbone: Backbone

    def __init__(self, *, backbone: Backbone, num_classes: int):
        super().__init__()
        self.backbone = backbone
        require_strides(self, backbone, STRIDES)
        self.levels = nn.ModuleList(level(backbone.feature_info.channels[s], num_classes, s) for s in STRIDES)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        pairs = zip(STRIDES, self.levels, strict=True)
        maps = [crop(level(features[s]), 0, 0, images.shape[-2:]) for s, level in pairs]
        auxiliaries = {f"level{i}": scores for i, scores in enumerate(maps, start=1)} if self.training else {}
        return {"out": cast(Tensor, sum(maps)), **auxiliaries}
