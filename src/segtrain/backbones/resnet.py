"""ResNet-50 and ResNet-101, with dilation where the stride is kept small.

"Deep Residual Learning for Image Recognition", He, Zhang, Ren and Sun, CVPR 2016,
https://arxiv.org/abs/1512.03385 (Table 1); names of parameters are torchvision's.

Dilation by DeepLab v2 (section 3.1), v3 (sections 3.1 and 3.2: multi-grid) and PSPNet (section 3.3,
and its stem of three 3×3 convolutions). Where a bottleneck strides and where dilation begins differ
between the released networks, so both are arguments. A network with dilation gives the strided one's
features on the shared cells for two of the four: `1x1` with `every_block`, `3x3` with `torchvision`.
Departs: images get zeros to the right and below up to whole cells, so that the last pixels lie
between cells too; nothing changes on sides of output_stride·k + 1. `whole_cells=False`
leaves images as they are, for networks of libraries.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.frozen import keep_frozen
from segtrain.layers.grid import Grid
from segtrain.layers.normalize import normalization
from segtrain.layers.whole_cells import pad_to_whole_cells
from segtrain.layers.width import scaled
from segtrain.weights import Pretrained, load_pretrained, torchvision_state

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
CHANNELS = {4: 64, 8: 128, 16: 256, 32: 512}  # of the 3×3 convolutions, by stage
EXPANSION = 4
STEMS = {"conv7": (64,), "deep": (64, 64, 128), "deep32": (32, 32, 64)}  # channels of the convolutions


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions around a shortcut: `channels` to 4·`bottleneck_channels` channels.

    Args:
        first: of its layer: the one that strides, and whose shortcut is a 1×1 convolution.
    """

    def __init__(self, channels: int, bottleneck_channels: int, *, first: bool, stride_in: str):
        super().__init__()
        self.stride_in = stride_in
        self.conv1 = nn.Conv2d(channels, bottleneck_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(bottleneck_channels)
        self.conv2 = nn.Conv2d(bottleneck_channels, bottleneck_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(bottleneck_channels)
        self.conv3 = nn.Conv2d(bottleneck_channels, EXPANSION * bottleneck_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * bottleneck_channels)
        self.downsample = nn.Sequential()
        if first:
            conv = nn.Conv2d(channels, EXPANSION * bottleneck_channels, 1, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(EXPANSION * bottleneck_channels))

    def set_stride(self, stride: int, dilation: int) -> None:
        """Another stride (1 but for a layer's first) and dilation for the same weights."""
        strided = self.conv1 if self.stride_in == "1x1" else self.conv2
        strided.stride = (stride, stride)
        self.conv2.dilation = self.conv2.padding = (dilation, dilation)
        for layer in self.downsample:
            if isinstance(layer, nn.Conv2d):
                layer.stride = (stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """Features of an N×3×H×W image by stage: 2 (the stem), 4, 8, 16, 32 (layer1 to layer4).

    Cell i of a stage lies on pixel i·min(stage, output_stride).

    Args:
        depth: 50 or 101.
        output_stride: of the deepest features; layers beyond it are dilated instead of strided.
        stem: `conv7`, or three 3×3 convolutions: `deep` to 64, 64 and 128 channels (PSPNet), `deep32` to
            32, 32 and 64 (mmsegmentation's ResNet v1c).
        stride_in: the convolution of a bottleneck that strides: `3x3` (torchvision's, PSPNet's)
            or `1x1` (the paper's, DeepLab v2's).
        dilation: `every_block` of a layer with dilation has the layer's own (DeepLab, PSPNet), or
            the first one still that of the layer before (`torchvision`).
        multi_grid: factors of the dilations of layer4's three blocks (DeepLab v3).
        in_channels: of the images; 1 takes RGB too, by its luminance.
        frozen: it is not trained, and always in eval mode.
        width: multiplies every number of channels; below 1 for tests only.
        pretrained: false, true (torchvision's ImageNet weights, which strided in the 3×3) or a
            local file by torchvision's names; for the deep stem a file with conv1 to conv3 and
            bn1 to bn3, as PSPNet's authors' PyTorch code names them.

    Attributes:
        feature_info: the channels and the cells of each stage.

    Raises:
        InputError: `multi_grid` has other than three factors; torchvision's weights for `deep`.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    conv1: nn.Conv2d
    conv2: nn.Conv2d
    conv3: nn.Conv2d
    bn1: nn.BatchNorm2d
    bn2: nn.BatchNorm2d
    bn3: nn.BatchNorm2d

    def __init__(
        self,
        *,
        depth: Literal[50, 101],
        output_stride: Literal[8, 16, 32] = 32,
        stem: Literal["conv7", "deep", "deep32"] = "conv7",
        stride_in: Literal["3x3", "1x1"] = "3x3",
        dilation: Literal["every_block", "torchvision"] = "every_block",
        multi_grid: tuple[int, ...] = (1, 1, 1),
        in_channels: int = 3,
        frozen: bool = False,
        width: float = 1.0,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.feature_info = FeatureInfo(optional_padding=True)
        if len(multi_grid) != 3:
            problem = f"multi_grid={list(multi_grid)}: layer4 has three blocks"
            raise InputError(problem, do="give three factors")
        self.deep, self.dilation, self.multi_grid = stem != "conv7", dilation, tuple(multi_grid)
        self.caffe = stride_in == "1x1"
        self.normalize = normalization(in_channels)
        channels = self.feature_info.channels[2] = self._add_stem(in_channels, STEMS[stem], width)
        for number, (stage, blocks) in enumerate(zip(CHANNELS, BLOCKS[depth], strict=True), start=1):
            bottleneck_channels, layer = scaled(CHANNELS[stage], width), []
            for i in range(blocks):
                layer.append(Bottleneck(channels, bottleneck_channels, first=i == 0, stride_in=stride_in))
                channels = EXPANSION * bottleneck_channels
            self.add_module(f"layer{number}", nn.Sequential(*layer))
            self.feature_info.channels[stage] = channels
        self.set_output_stride(output_stride)
        _initialise(self)
        if pretrained:
            load_pretrained(self, self._published(f"resnet{depth}", pretrained))
        keep_frozen(self, frozen)

    def set_output_stride(self, output_stride: int) -> None:
        """Chooses strides and dilation for this stride of the deepest features; weights stay."""
        self.output_stride = output_stride
        self.feature_info.grids = {stage: Grid(min(stage, output_stride)) for stage in (2, *CHANNELS)}
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        for stage, layer in zip(CHANNELS, layers, strict=True):
            stride = 2 if 4 < stage <= output_stride else 1
            own = max(stage // output_stride, 1)
            previous = max(stage // 2 // output_stride, 1)
            dilations = [previous if self.dilation == "torchvision" else own] + [own] * (len(layer) - 1)
            if stage == 32:
                dilations = [d * factor for d, factor in zip(dilations, self.multi_grid, strict=True)]
            for i, (block, dilation) in enumerate(zip(layer, dilations, strict=True)):
                assert isinstance(block, Bottleneck)
                block.set_stride(stride if i == 0 else 1, dilation)

    def forward(self, images: Tensor, *, whole_cells: bool = True) -> dict[int, Tensor]:
        x = self.normalize(images)
        x = pad_to_whole_cells(x, self.output_stride) if whole_cells else x
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        if self.deep:
            x = F.relu(self.bn2(self.conv2(x)), inplace=True)
            x = F.relu(self.bn3(self.conv3(x)), inplace=True)
        # Caffe rounds up; on whole cells there is nothing to round.
        layer1 = self.layer1(F.max_pool2d(x, 3, 2, padding=1, ceil_mode=self.caffe))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return {2: x, 4: layer1, 8: layer2, 16: layer3, 32: self.layer4(layer3)}

    def _add_stem(self, channels: int, out_channels: tuple[int, ...], width: float) -> int:
        """The convolutions before the pooling; returns their channels."""
        kernel, stride = 3 if self.deep else 7, 2
        for number, out in enumerate(out_channels, start=1):
            out = scaled(out, width)
            conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(out))
            channels, stride = out, 1
        return channels

    def _published(self, name: str, pretrained: Pretrained) -> dict[str, Tensor]:
        """The classifier's tensors without its last layer."""
        if self.deep and pretrained is True:
            raise InputError(
                "model.backbone.pretrained: torchvision has no ResNet with a deep stem",
                do="give a file of one, or add model.backbone.stem=conv7",
            )
        return {k: v for k, v in torchvision_state(name, pretrained).items() if not k.startswith("fc.")}


def _initialise(net: nn.Module) -> None:
    """He-normal by fan-out, as torchvision does; BatchNorm starts as the identity."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
