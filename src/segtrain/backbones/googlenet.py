"""GoogLeNet (Inception v1) as a fully convolutional backbone.

"Going Deeper with Convolutions", Szegedy et al., CVPR 2015, https://arxiv.org/abs/1409.4842,
Table 1. FCN (section 4.1) drops the final average pooling and all but the final loss.

`original` is the paper's: 5×5 branches, biases, local response normalisation, 5,973,552
parameters. `torchvision` has BatchNorm, no biases and 3×3 in place of 5×5 (a known slip of its
port), for which ImageNet weights exist. No FCN-GoogLeNet of the authors was released: that the
first convolution pads by 3 and that skips start at pool2 and pool3 is our choice.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid, pad_to
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

#       1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
SMALLEST = 32  # below this a pooling window would be empty; smaller images get a border


class ConvUnit(nn.Module):
    """Convolution and ReLU, with BatchNorm in torchvision's layout."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, batch_norm: bool, **how):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, bias=not batch_norm, **how)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches side by side; the output has their channels one after the other."""

    def __init__(self, inputs: int, table: list[int], *, batch_norm: bool):
        super().__init__()
        c1, r3, c3, r5, c5, cp = table
        large = 3 if batch_norm else 5
        bn = {"batch_norm": batch_norm}
        self.branch1 = ConvUnit(inputs, c1, 1, **bn)
        self.branch2 = nn.Sequential(ConvUnit(inputs, r3, 1, **bn), ConvUnit(r3, c3, 3, padding=1, **bn))
        self.branch3 = nn.Sequential(
            ConvUnit(inputs, r5, 1, **bn), ConvUnit(r5, c5, large, padding=large // 2, **bn)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), ConvUnit(inputs, cp, 1, **bn))
        self.channels = c1 + c3 + c5 + cp

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    """Features of an N×3×H×W image by stride: 8 (pool2), 16 (pool3), 32 (inception 5b).

    Args:
        layout: `original` or `torchvision`.
        padding: of the first convolution: 3 keeps sizes.
        dropout: before the scores.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Raises:
        InputError: pretrained weights for the original layout, for which there are none.
    """

    inception3a: nn.Module
    inception3b: nn.Module
    inception4a: nn.Module
    inception4b: nn.Module
    inception4c: nn.Module
    inception4d: nn.Module
    inception4e: nn.Module
    inception5a: nn.Module
    inception5b: nn.Module

    def __init__(
        self,
        *,
        layout: Literal["original", "torchvision"] = "original",
        padding: int = 3,
        dropout: float = 0.4,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()
        batch_norm = layout == "torchvision"
        if pretrained and not batch_norm:
            raise InputError(
                "model.backbone.pretrained: there are no weights for GoogLeNet's original layout",
                do="add model.backbone.layout=torchvision",
            )
        # torchvision's GoogLeNet weights were trained on inputs from -1 to 1.
        self.normalize = normalization(in_channels, (127.5,) * 3, (127.5,) * 3)
        self.norm = nn.Identity() if batch_norm else nn.LocalResponseNorm(5, 1e-4, 0.75)
        last_pool = 2 if batch_norm else 3
        c64, c192 = scaled(64, width), scaled(192, width)
        self.conv1 = ConvUnit(in_channels, c64, 7, stride=2, padding=padding, batch_norm=batch_norm)
        self.conv2 = ConvUnit(c64, c64, 1, batch_norm=batch_norm)
        self.conv3 = ConvUnit(c64, c192, 3, padding=1, batch_norm=batch_norm)
        channels = c192
        self.feature_info.channels[8] = c192
        for name, table in INCEPTION.items():
            block = Inception(channels, [scaled(c, width) for c in table], batch_norm=batch_norm)
            self.add_module(f"inception{name}", block)
            channels = block.channels
            if name == "3b":
                self.feature_info.channels[16] = channels
        self.feature_info.channels[32] = channels
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(last_pool, 2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)

        grid = Grid().conv(7, 2, padding).conv(3, 2).conv(3, 2)
        self.feature_info.grids = {8: grid, 16: grid.conv(3, 2), 32: grid.conv(3, 2).conv(last_pool, 2)}
        he_normal(self)
        if pretrained:
            load_pretrained(self, self.from_torchvision(torchvision_state("googlenet", pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.norm(self.pool(self.conv1(pad_to(self.normalize(images), SMALLEST))))
        pool2 = self.pool(self.norm(self.conv3(self.conv2(x))))
        pool3 = self.pool(self.inception3b(self.inception3a(pool2)))
        x = self.inception4c(self.inception4b(self.inception4a(pool3)))
        x = self.pool4(self.inception4e(self.inception4d(x)))
        return {8: pool2, 16: pool3, 32: self.dropout(self.inception5b(self.inception5a(x)))}

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's tensors without its auxiliary heads and its classifier; names are ours."""
        return {k: v for k, v in state.items() if not k.startswith(("aux", "fc."))}
