"""AlexNet as a fully convolutional backbone.

"ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky, Sutskever and
Hinton, NIPS 2012; the layer table is voc-fcn-alexnet/net.py of the FCN authors (CaffeNet).

`caffe` is that net: 96 to 256 channels, two groups, local response normalisation, fc6 6×6.
`torchvision` is the single-tower form, without groups and normalisation, for which torchvision
has ImageNet weights. Pooling rounds up in both; on 224×224 this changes nothing.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.fc_conv import FCConv
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid, pad_to
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

CHANNELS = {"caffe": (96, 256, 384, 384, 256), "torchvision": (64, 192, 384, 256, 256)}
KERNELS = (11, 5, 3, 3, 3)
GROUPS = {"caffe": (1, 2, 1, 2, 2), "torchvision": (1, 1, 1, 1, 1)}
FC = 4096
SMALLEST = 32  # below this a pooling window would be empty; smaller images get a border


class AlexNet(nn.Module):
    """Features of an N×3×H×W image by stride: 8 (pool1), 16 (pool2), 32 (fc7).

    Args:
        layout: `caffe` or `torchvision`.
        padding: of the first convolution: 5 keeps sizes, 100 is FCN's (fc6 is then unpadded).
        dropout: after fc6 and fc7.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Raises:
        InputError: pretrained weights for Caffe's layout.
    """

    conv1: nn.Conv2d
    conv2: nn.Conv2d
    conv3: nn.Conv2d
    conv4: nn.Conv2d
    conv5: nn.Conv2d

    def __init__(
        self,
        *,
        layout: Literal["caffe", "torchvision"] = "caffe",
        padding: int = 5,
        dropout: float = 0.5,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()
        self.normalize = normalization(in_channels)
        self.caffe = layout == "caffe"
        channels = [in_channels] + [2 * scaled(c, width / 2) for c in CHANNELS[layout]]
        paddings = (padding, 2, 1, 1, 1)
        grid = Grid()
        for i, (kernel, pad, groups) in enumerate(zip(KERNELS, paddings, GROUPS[layout], strict=True)):
            stride = 4 if i == 0 else 1
            conv = nn.Conv2d(channels[i], channels[i + 1], kernel, stride, pad, groups=groups)
            setattr(self, f"conv{i + 1}", conv)
            grid = grid.conv(kernel, stride, pad)
            if i in (0, 1, 4):
                grid = grid.conv(3, stride=2)
                self.feature_info.add(grid.stride, channels[i + 1], grid)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm = nn.LocalResponseNorm(5, 1e-4, 0.75) if self.caffe else nn.Identity()

        fc, fc6_padding = scaled(FC, width), 0 if padding == 100 else 3
        self.fc6 = FCConv(channels[-1], fc, 6, padding=fc6_padding)
        self.fc7 = FCConv(fc, fc, 1)
        self.dropout = nn.Dropout(dropout)
        self.feature_info.add(32, fc, grid.conv(6, padding=fc6_padding))
        he_normal(self)
        if pretrained:
            load_pretrained(self, self.from_torchvision(torchvision_state("alexnet", pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = pad_to(self.normalize(images), SMALLEST)
        pool1 = self.norm(self.pool(F.relu(self.conv1(x))))
        pool2 = self.norm(self.pool(F.relu(self.conv2(pool1))))
        x = F.relu(self.conv4(F.relu(self.conv3(pool2))))
        x = self.pool(F.relu(self.conv5(x)))
        x = self.dropout(F.relu(self.fc6(x)))
        fc7 = self.dropout(F.relu(self.fc7(x)))
        return {8: pool1, 16: pool2, 32: fc7}

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's alexnet tensors under our names."""
        if self.caffe:
            raise InputError(
                "model.backbone.pretrained: torchvision's AlexNet is not of Caffe's layout",
                do="add model.backbone.layout=torchvision",
            )
        theirs = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
        names = {ours: f"features.{i}" for ours, i in theirs.items()}
        names |= {"fc6": "classifier.1", "fc7": "classifier.4"}
        return {
            f"{ours}.{kind}": state[f"{name}.{kind}"]
            for ours, name in names.items()
            for kind in ("weight", "bias")
        }
