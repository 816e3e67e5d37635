"""Aligned Xception-65, with dilation where the stride is kept small.

"Xception: Deep Learning with Depthwise Separable Convolutions", Chollet, CVPR 2017,
https://arxiv.org/abs/1610.02357, as modified in "Encoder-Decoder with Atrous Separable Convolution
for Semantic Image Segmentation", Chen et al., ECCV 2018, https://arxiv.org/abs/1802.02611
(section 3.2, Figure 4); the layer table is the released core/xception.py.

Units of three separable convolutions around a shortcut; the third strides, instead of pooling.
The paper puts ReLU after each depthwise convolution; the released code, followed here, does so in
the last unit only, and begins the others with one. A network with dilation gives the strided one's
features on the shared cells. Departs: BatchNorm averages its statistics over tens of steps, not
over thousands (0.9997 a step in the paper).
"""

from typing import Literal

from torch import Tensor, nn

from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.separable import SeparableConv
from segtrain.layers.whole_cells import pad_to_whole_cells
from segtrain.layers.width import scaled

STEM = (32, 64)
# Channels of the three separable convolutions and the stride of the third.
ENTRY = (((128, 128, 128), 2), ((256, 256, 256), 2), ((728, 728, 728), 2))
MIDDLE_UNITS, MIDDLE = 16, (728, 728, 728)
EXIT = (((728, 1024, 1024), 2), ((1536, 1536, 2048), 1))
EPS = 1e-3  # of BatchNorm


class Unit(nn.Module):
    """Three separable convolutions, each after a ReLU, and what the shortcut adds.

    Args:
        channels, out_channels: of the input; of the three outputs.
        stride: of the third convolution while there is no dilation.
        shortcut: a strided 1×1 convolution with BatchNorm, the input itself, or nothing.
        relu_inside: ReLU after each depthwise and pointwise convolution, not before the unit's.
    """

    def __init__(
        self,
        channels: int,
        out_channels: tuple[int, ...],
        *,
        stride: int = 1,
        shortcut: Literal["conv", "sum", "none"],
        relu_inside: bool = False,
    ):
        super().__init__()
        self.stride = stride
        self.relu = nn.Identity() if relu_inside else nn.ReLU()
        in_channels = (channels, *out_channels[:2])
        self.convs = nn.ModuleList(
            SeparableConv(i, o, 3, eps=EPS, relu=relu_inside)
            for i, o in zip(in_channels, out_channels, strict=True)
        )
        self.shortcut: nn.Module | None = nn.Identity() if shortcut == "sum" else None
        if shortcut == "conv":
            conv = nn.Conv2d(channels, out_channels[-1], 1, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(out_channels[-1], EPS))
            he_normal(self.shortcut)
        self.set_stride(stride, 1)

    def set_stride(self, stride: int, dilation: int) -> None:
        """Another stride of the third convolution and dilation of all for the same weights."""
        for conv, own in zip(self.convs, (1, 1, stride), strict=True):
            assert isinstance(conv, SeparableConv)
            conv.set_stride(own, dilation)
        if isinstance(self.shortcut, nn.Sequential):
            conv = self.shortcut[0]
            assert isinstance(conv, nn.Conv2d)
            conv.stride = (stride, stride)

    def before_stride(self, x: Tensor) -> Tensor:
        """The first two convolutions."""
        for conv in self.convs[:2]:
            x = conv(self.relu(x))
        return x

    def stride_and_add(self, y: Tensor, x: Tensor) -> Tensor:
        """The third convolution of `y`, and the shortcut of the unit's input `x`."""
        y = self.convs[2](self.relu(y))
        return y if self.shortcut is None else y + self.shortcut(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.stride_and_add(self.before_stride(x), x)


class Xception65(nn.Module):
    """Features of an N×3×H×W image by stage: 4 (entry block 2 before it strides, which DeepLab
    v3+'s decoder reads), 8 (entry block 2), 16 (middle flow), 32 (exit flow).

    Cell i of a stage lies on pixel i·min(stage, output_stride).

    Args:
        output_stride: of the deepest features; units beyond it are dilated instead of strided.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.

    Attributes:
        feature_info: the channels and the cells of each stage.
    """

    def __init__(
        self,
        *,
        output_stride: Literal[8, 16, 32] = 32,
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
    ):
        super().__init__()
        self.feature_info = FeatureInfo()

        def thin(out_channels: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(scaled(out, width) for out in out_channels)

        self.normalize = normalization(in_channels, (127.5,) * 3, (127.5,) * 3)  # to -1..1
        one, two = thin(STEM)
        self.stem = nn.Sequential(
            ConvBNReLU(in_channels, one, 3, stride=2, eps=EPS), ConvBNReLU(one, two, 3, eps=EPS)
        )
        channels, entry = two, []
        for out_channels, stride in ENTRY:
            entry.append(Unit(channels, thin(out_channels), stride=stride, shortcut="conv"))
            channels = thin(out_channels)[-1]
        self.entry = nn.ModuleList(entry)
        middle = thin(MIDDLE)
        self.middle = nn.Sequential(*(Unit(channels, middle, shortcut="sum") for _ in range(MIDDLE_UNITS)))
        (first, stride), (last, _) = EXIT
        self.exit = nn.Sequential(
            Unit(channels, thin(first), stride=stride, shortcut="conv"),
            Unit(thin(first)[-1], thin(last), shortcut="none", relu_inside=True),
        )
        low = thin(ENTRY[1][0])
        self.feature_info.channels = {4: low[1], 8: low[2], 16: channels, 32: thin(last)[-1]}
        self.set_output_stride(output_stride)
        keep_frozen(self, frozen)

    def set_output_stride(self, output_stride: int) -> None:
        """Chooses strides and dilation for this stride of the deepest features; weights stay."""
        self.output_stride = output_stride
        self.feature_info.grids = {
            stage: Grid(min(stage, output_stride)) for stage in self.feature_info.channels
        }
        reached, rate = 2, 1
        for unit in (*self.entry, *self.middle, *self.exit):
            if reached < output_stride:
                unit.set_stride(unit.stride, 1)
                reached *= unit.stride
            else:
                unit.set_stride(1, rate)
                rate *= unit.stride

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.stem(pad_to_whole_cells(self.normalize(images), self.output_stride))
        block1, block2, block3 = self.entry
        assert isinstance(block2, Unit)
        x = block1(x)
        low = block2.before_stride(x)
        stage8 = block2.stride_and_add(low, x)
        stage16 = self.middle(block3(stage8))
        return {4: low, 8: stage8, 16: stage16, 32: self.exit(stage16)}
