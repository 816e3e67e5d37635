"""FusionNet.

"FusionNet: A deep fully residual convolutional neural network for image segmentation in
connectomics", Quan, Hildebrand and Jeong, 2016, https://arxiv.org/abs/1612.05360.

A U-Net whose stages are convolution, residual block, convolution, and whose skips are summed.
`layout=paper`: BatchNorm after every convolution, three of which a shortcut spans; 3×3
deconvolutions and scores. `layout=keras` is the authors' Model.py: BatchNorm only before the
two convolutions in the residual block, a convolution that halves the channels before each
deconvolution, dropout of 0.25, 1×1 scores.
Departs: class scores for softmax and cross-entropy, where the code has one sigmoid map and the mean
absolute error; BatchNorm is by channel and keeps running statistics (Model.py's is by row and batch);
the bridge's dropout comes after its last convolution, as in every other stage; any image size, by
poolings that round up; initial values are He's, with scores of zero; images are normalised.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

from torch import Tensor, nn

from segtrain.layers.grid import crop
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.score import Score
from segtrain.layers.up_conv import UpConv
from segtrain.layers.width import scaled

CHANNELS = (64, 128, 256, 512, 1024)
DROPOUT = 0.25  # of the authors' code


class Residual(nn.Sequential):
    """The sum of the layers' input and output, without a ReLU after it."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def conv(channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, padding=1)


def conv_relu(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(conv(channels, out_channels), nn.ReLU(inplace=True))


def conv_norm_relu(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(conv(channels, out_channels), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def paper_stage(channels: int, out_channels: int) -> nn.Sequential:
    residual = [
        conv_norm_relu(out_channels, out_channels),
        conv_norm_relu(out_channels, out_channels),
        conv(out_channels, out_channels),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(
        conv_norm_relu(channels, out_channels),
        Residual(*residual),
        conv_norm_relu(out_channels, out_channels),
    )


def paper_up(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        UpConv(channels, out_channels, 3), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


def keras_residual(channels: int) -> Residual:
    halves = [(nn.BatchNorm2d(channels), conv_relu(channels, channels)) for _ in range(2)]
    return Residual(*halves[0], *halves[1])


def keras_stage(channels: int, out_channels: int) -> nn.Sequential:
    layers = [
        conv_relu(channels, out_channels),
        keras_residual(out_channels),
        conv_relu(out_channels, out_channels),
    ]
    return nn.Sequential(*layers, nn.Dropout(DROPOUT))


def keras_up(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        conv_relu(channels, out_channels), UpConv(out_channels, out_channels, 3), nn.ReLU(inplace=True)
    )


def keras_merged(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(DROPOUT), keras_residual(channels), conv_relu(channels, channels))


class Layout(NamedTuple):
    """Builders of a stage down, an upsampling, a stage after a sum; side of the scores' kernel."""

    stage: Callable[[int, int], nn.Module]
    up: Callable[[int, int], nn.Module]
    merged: Callable[[int], nn.Module]
    score_kernel: int


LAYOUTS = {
    "paper": Layout(paper_stage, paper_up, lambda channels: paper_stage(channels, channels), 3),
    "keras": Layout(keras_stage, keras_up, keras_merged, 1),
}


class FusionNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        num_classes: C.
        layout: `paper`, or `keras`: the authors' code.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        width: multiplies every number of channels; below 1 for tests only.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        layout: Literal["paper", "keras"] = "paper",
        in_channels: int = 3,
        width: float = 1.0,
    ):
        super().__init__()
        build = LAYOUTS[layout]
        channels = [scaled(c, width) for c in CHANNELS]
        self.normalize = normalization(in_channels)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.down, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for above, below in pairwise([in_channels, *channels]):
            self.down.append(build.stage(above, below))
        for below, above in pairwise(reversed(channels)):
            self.up.append(build.up(below, above))
            self.merge.append(build.merged(above))
        he_normal(self)
        self.score = Score(channels[0], num_classes, kernel=build.score_kernel)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x, skips = self.normalize(images), []
        for i, stage in enumerate(self.down):
            x = stage(self.pool(x) if i else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            x = merge(crop(up(x), 0, 0, skip.shape[-2:]) + skip)
        return {"out": self.score(x)}
