"""VGG16 at stride 8 with holes: DeepLab-LargeFOV's backbone.

"Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", Chen,
Papandreou, Kokkinos, Murphy and Yuille, ICLR 2015, https://arxiv.org/abs/1412.7062, section 3;
the layer table is the released config/DeepLab-LargeFOV/train.prototxt.

Pooling is 3×3 throughout; pool4 and pool5 keep their stride at 1, so conv5 has holes of 2; an
average pool follows pool5 (in the code, not in the paper); fc6 is 3×3 with holes of 12 and 1,024
channels, fc7 1×1. Input normalisation is torchvision's, as its weights want it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.backbones.vgg import BLOCKS, FC, block_weights, convolutions
from segtrain.layers.grid import Grid
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import Normalize
from segtrain.weights import Pretrained, torchvision_state

POOL_STRIDES = (2, 2, 2, 1, 1)
DILATIONS = (1, 1, 1, 1, 2)


class LargeFOVVGG16(nn.Module):
    """Features of an N×3×H×W picture by stage: 32 (fc7), of stride 8, cell i on pixel 8·i.

    Args:
        fc6_kernel, fc6_dilation, fc_channels: the paper's Table 2 in its LargeFOV row.
        dropout: after fc6 and fc7.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Attributes:
        channels, grids: stage -> channels, Grid (see layers/stages.py).
    """

    def __init__(
        self,
        *,
        fc6_kernel: int = 3,
        fc6_dilation: int = 12,
        fc_channels: int = 1024,
        dropout: float = 0.5,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.normalize = Normalize()
        channels = 3
        for i, (block, stride, dilation) in enumerate(zip(BLOCKS, POOL_STRIDES, DILATIONS, strict=True)):
            outs = [round(out * width) for out in block]
            layers = convolutions(channels, outs, padding=dilation, dilation=dilation)
            pool = nn.MaxPool2d(3, stride, padding=1, ceil_mode=True)
            self.add_module(f"block{i + 1}", nn.Sequential(*layers, pool))
            channels = outs[-1]
        self.pool5a = nn.AvgPool2d(3, 1, padding=1)
        fc, padding = round(fc_channels * width), fc6_dilation * (fc6_kernel - 1) // 2
        self.fc6 = nn.Conv2d(channels, fc, fc6_kernel, padding=padding, dilation=fc6_dilation)
        self.fc7 = nn.Conv2d(fc, fc, 1)
        self.dropout = nn.Dropout(dropout)
        self.channels, self.grids = {32: fc}, {32: Grid(8)}
        he_normal(self)
        if pretrained:
            self.load_state_dict(self.from_torchvision(torchvision_state("vgg16", pretrained)))

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.block3(self.block2(self.block1(self.normalize(images))))
        x = self.pool5a(self.block5(self.block4(x)))
        x = self.dropout(F.relu(self.fc6(x), inplace=True))
        return {32: self.dropout(F.relu(self.fc7(x), inplace=True))}

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's vgg16 under our names; fc6 and fc7 by decimation (section 3.2).

        Of the 7×7 taps every third is kept, and a random subset of the 4,096 filters.
        """
        converted = block_weights(self, state)
        kept = torch.randperm(FC, generator=torch.Generator().manual_seed(0))[: self.fc6.out_channels]
        taps = torch.linspace(0, 6, self.fc6.kernel_size[0]).round().long()
        fc6 = state["classifier.0.weight"].view(FC, 512, 7, 7)
        converted["fc6.weight"] = fc6[kept][:, :, taps][..., taps]
        converted["fc6.bias"] = state["classifier.0.bias"][kept]
        converted["fc7.weight"] = state["classifier.3.weight"][kept][:, kept, None, None]
        converted["fc7.bias"] = state["classifier.3.bias"][kept]
        return converted
