"""VGG16 at stride 8 with dilation: the backbone of DeepLab v1, and of v2 on VGG16.

"Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", Chen,
Papandreou, Kokkinos, Murphy and Yuille, ICLR 2015, https://arxiv.org/abs/1412.7062, section 3;
layer tables are the released config/DeepLab-LargeFOV and config/DeepLab train.prototxt.

pool4 and pool5 keep their stride at 1, so conv5 has dilation 2. `pool=3` is LargeFOV's form, with
an average pool after pool5 (in the code, not in the paper). `pool=2` is the first release's: each
padded 2×2 pool shifts the cells by half of one, and pool4, unpadded, back to half a pixel. It
needs 8k+2 pixels for k+1 cells (306 for 39): here the image gets the missing ones as zeros.
Several rates give ASPP (v2, section 4.1.2): parallel fc6 and fc7, one after the other in channels.
Input normalisation is torchvision's, as its weights want it.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.backbones.vgg import BLOCKS, FC, block_weights, convolutions
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.fc_conv import FCConv
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.whole_cells import pad_to_whole_cells
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

STAGES = (2, 4, 8, 16)  # after pool1 to pool4
DILATIONS = (1, 1, 1, 1, 2)
POOLS = {  # kernel, stride and padding of pool1 to pool5
    3: ((3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1)),
    2: ((2, 2, 1), (2, 2, 1), (2, 2, 1), (2, 1, 0), (3, 1, 1)),
}


class AtrousVGG16(nn.Module):
    """Features of an N×3×H×W image by stage: 2, 4, 8, 16 (pool1 to pool4) and 32 (fc7).

    Args:
        pool: side of the poolings: 3, or 2 for the form before LargeFOV.
        fc6_kernel, fc6_dilations, fc_channels: the paper's Table 2 (LargeFOV: 3, 12, 1024). Of
            several dilations each has a fc6 and a fc7 of its own.
        dropout: after fc6 and fc7.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Attributes:
        feature_info: the channels and the cells of each stage.
    """

    block1: nn.Sequential
    block2: nn.Sequential
    block3: nn.Sequential
    block4: nn.Sequential
    block5: nn.Sequential

    def __init__(
        self,
        *,
        pool: Literal[3, 2] = 3,
        fc6_kernel: int = 3,
        fc6_dilations: tuple[int, ...] = (12,),
        fc_channels: int = 1024,
        dropout: float = 0.5,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()
        self.pool = pool
        self.in_channels, self.normalize = in_channels, normalization(in_channels)
        grid, channels = Grid(), in_channels
        for i, (block, pooling, dilation) in enumerate(zip(BLOCKS, POOLS[pool], DILATIONS, strict=True)):
            out_channels = [scaled(out, width) for out in block]
            layers = convolutions(channels, out_channels, padding=dilation, dilation=dilation)
            self.add_module(f"block{i + 1}", nn.Sequential(*layers, nn.MaxPool2d(*pooling, ceil_mode=True)))
            grid, channels = grid.conv(*pooling), out_channels[-1]
            if i < len(STAGES):
                self.feature_info.add(STAGES[i], channels, grid)
        self.pool5a = nn.AvgPool2d(3, 1, padding=1) if pool == 3 else nn.Identity()

        fc, self.fc6_kernel = scaled(fc_channels, width), fc6_kernel
        convolution = FCConv if fc6_kernel > 3 else nn.Conv2d  # what is faster for so many weights
        self.fc6, self.fc7 = nn.ModuleList(), nn.ModuleList()
        for rate in fc6_dilations:
            padding = rate * (fc6_kernel - 1) // 2
            self.fc6.append(convolution(channels, fc, fc6_kernel, padding=padding, dilation=rate))
            self.fc7.append(nn.Conv2d(fc, fc, 1))
        self.dropout = nn.Dropout(dropout)
        self.feature_info.add(32, fc * len(fc6_dilations), grid)
        he_normal(self)
        if pretrained:
            load_pretrained(self, self.from_torchvision(torchvision_state("vgg16", pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.normalize(images)
        if self.pool == 2:
            x = F.pad(pad_to_whole_cells(x, 8), (0, 1, 0, 1))
        features = {}
        for stage, block in zip(STAGES, (self.block1, self.block2, self.block3, self.block4), strict=True):
            x = features[stage] = block(x)
        x = self.pool5a(self.block5(x))
        branches = []
        for fc6, fc7 in zip(self.fc6, self.fc7, strict=True):
            y = self.dropout(F.relu(fc6(x), inplace=True))
            branches.append(self.dropout(F.relu(fc7(y), inplace=True)))
        return features | {32: torch.cat(branches, 1)}

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's vgg16 under our names; fc6 and fc7 by decimation (section 3.2).

        Of the 7×7 taps evenly spread ones are kept, and a random subset of the 4,096 filters, the
        same for every branch.
        """
        converted = block_weights(self, state)
        chosen = torch.randperm(FC, generator=torch.Generator().manual_seed(0))
        kept = chosen[: self.fc7[0].out_channels].sort().values
        taps = torch.linspace(0, 6, self.fc6_kernel).round().long()
        fc6 = state["classifier.0.weight"].view(FC, 512, 7, 7)[kept][:, :, taps][..., taps]
        for i, layer in enumerate(self.fc6):
            assert isinstance(layer.weight, Tensor)
            converted[f"fc6.{i}.weight"] = fc6.reshape(tuple(layer.weight.shape))
            converted[f"fc6.{i}.bias"] = state["classifier.0.bias"][kept]
            converted[f"fc7.{i}.weight"] = state["classifier.3.weight"][kept][:, kept, None, None]
            converted[f"fc7.{i}.bias"] = state["classifier.3.bias"][kept]
        return converted
