"""VGG16 as a fully convolutional backbone.

"Very Deep Convolutional Networks for Large-Scale Image Recognition", Simonyan and Zisserman,
ICLR 2015, https://arxiv.org/abs/1409.1556 (configuration D).

The classifier is kept as convolutions, as in FCN (Long et al. 2015, section 3.1): fc6 is 7×7,
fc7 is 1×1. Pooling rounds up, as Caffe does; on a 224×224 image this changes nothing.
Departs: weights and input normalisation are torchvision's, not Caffe's BGR means.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.fc_conv import FCConv
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
FC = 4096


def convolutions(
    channels: int,
    out_channels: Sequence[int],
    *,
    padding: int = 1,
    first_padding: int | None = None,
    dilation: int = 1,
    batch_norm: bool = False,
) -> list[nn.Module]:
    """A block of VGG without its pooling: 3×3 convolutions to `out_channels` channels, each with ReLU.

    Args:
        padding: zeros on every side; first_padding: of the first convolution, if it differs.
        batch_norm: before every ReLU.
    """
    layers: list[nn.Module] = []
    for out in out_channels:
        pad = first_padding if first_padding is not None and not layers else padding
        layers.append(nn.Conv2d(channels, out, 3, padding=pad, dilation=dilation))
        if batch_norm:
            layers.append(nn.BatchNorm2d(out))
        layers.append(nn.ReLU(inplace=True))
        channels = out
    return layers


def block_weights(backbone: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions of torchvision's vgg16 or vgg16_bn, under our names block1 to block5."""
    theirs = [v for k, v in state.items() if k.startswith("features.")]
    ours = [k for k in backbone.state_dict() if k.startswith("block")]
    return dict(zip(ours, theirs, strict=True))


class VGG16(nn.Module):
    """Features of an N×3×H×W image by stride: 2 to 16 (pool1 to pool4), 32 (fc7).

    Args:
        padding: of the first convolution: 1 keeps sizes ("same"); 100 is FCN's, whose fc6 is
            then unpadded.
        fc6_kernel: 7, or 1 for a lighter fc6.
        dropout: after fc6 and fc7.
        batch_norm: after every convolution of the five blocks (torchvision's vgg16_bn).
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights) or a local file of them.

    Attributes:
        channels: stride -> channels; grids: stride -> Grid.
    """

    block1: nn.Sequential
    block2: nn.Sequential
    block3: nn.Sequential
    block4: nn.Sequential
    block5: nn.Sequential

    def __init__(
        self,
        *,
        padding: int = 1,
        fc6_kernel: int = 7,
        dropout: float = 0.5,
        batch_norm: bool = False,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()
        self.normalize = normalization(in_channels)
        grid, channels = Grid(), in_channels
        for number, block in enumerate(BLOCKS, start=1):
            out_channels = [scaled(out, width) for out in block]
            first = padding if number == 1 else 1
            layers = convolutions(channels, out_channels, first_padding=first, batch_norm=batch_norm)
            self.add_module(f"block{number}", nn.Sequential(*layers, nn.MaxPool2d(2, 2, ceil_mode=True)))
            grid, channels = grid.conv(3, padding=first), out_channels[-1]
            for _ in out_channels[1:]:
                grid = grid.conv(3, padding=1)
            grid = grid.conv(2, stride=2)
            self.feature_info.add(grid.stride, channels, grid)

        fc6_padding = fc6_kernel // 2 if padding == 1 else 0
        fc = scaled(FC, width)
        self.fc6 = FCConv(channels, fc, fc6_kernel, padding=fc6_padding)
        self.fc7 = FCConv(fc, fc, 1)
        self.dropout = nn.Dropout(dropout)
        self.feature_info.add(32, fc, grid.conv(fc6_kernel, padding=fc6_padding))
        he_normal(self)
        if pretrained:
            name = "vgg16_bn" if batch_norm else "vgg16"
            load_pretrained(self, self.from_torchvision(torchvision_state(name, pretrained)))
        keep_frozen(self, frozen)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        pool1 = self.block1(self.normalize(images))
        pool2 = self.block2(pool1)
        pool3 = self.block3(pool2)
        pool4 = self.block4(pool3)
        x = self.block5(pool4)
        x = self.dropout(F.relu(self.fc6(x), inplace=True))
        fc7 = self.dropout(F.relu(self.fc7(x), inplace=True))
        return {2: pool1, 4: pool2, 8: pool3, 16: pool4, 32: fc7}

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's vgg16 or vgg16_bn tensors under our names."""
        converted = block_weights(self, state)
        for ours, name in (("fc6", "classifier.0"), ("fc7", "classifier.3")):
            converted[f"{ours}.weight"] = state[f"{name}.weight"]
            converted[f"{ours}.bias"] = state[f"{name}.bias"]
        if self.fc6.kernel == 1:
            # The same response as the 7×7 gives where the features are constant.
            converted["fc6.weight"] = converted["fc6.weight"].unflatten(1, (512, 49)).sum(2)
        return converted
