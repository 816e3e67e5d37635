"""FRRN-A and FRRN-B.

"Full-Resolution Residual Networks for Semantic Segmentation in Street Scenes", Pohlen, Hermans,
Mathias and Leibe, CVPR 2017, https://arxiv.org/abs/1611.08323.

Two streams (Table 1): the residual stream keeps 32 maps at the image's size from start to end;
the pooling stream goes down to stride 16 (A) or 32 (B) and up again. Each unit reads both and adds
to the residual stream, by nearest-neighbour upsampling; the pooling stream is upsampled bilinearly.
Departs: the bilinear upsampling is centred on the pooled cells, where Theano's lies half a fine
cell further up and left; images of any size are padded by zeros to the right and below up to the
deepest stride and the scores cropped; images are normalised by ImageNet's mean and std.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.layers.gradient_checkpointing import checkpointed
from segtrain.layers.grid import crop
from segtrain.layers.normalize import normalization
from segtrain.layers.score import Score
from segtrain.layers.width import scaled

EPS = 1e-4  # Lasagne's default


def convolution(channels: int, outputs: int, kernel: int, *, relu: bool = True) -> nn.Sequential:
    """A convolution without bias, BatchNorm, and ReLU; He-uniform, of gain 1 where no ReLU follows."""
    conv = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu" if relu else "linear")
    norm = nn.BatchNorm2d(outputs, eps=EPS)
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True)) if relu else nn.Sequential(conv, norm)


class ResidualUnit(nn.Module):
    """RU: two 3×3 convolutions around a shortcut, no ReLU after the sum."""

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        self.convs = nn.Sequential(
            convolution(channels, outputs, 3), convolution(outputs, outputs, 3, relu=False)
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels != outputs:
            conv = nn.Conv2d(channels, outputs, 1, bias=False)
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="linear")
            self.shortcut = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x) + self.shortcut(x)


class FullResolutionUnit(nn.Module):
    """FRRU: the pooling stream y, N×channels×H/p×W/p, and the residual stream z, N×r×H×W, to their
    next values, y with `outputs` channels."""

    def __init__(self, channels: int, residual_channels: int, outputs: int, scale: int):
        super().__init__()
        self.scale = scale
        self.convs = nn.Sequential(
            convolution(channels + residual_channels, outputs, 3), convolution(outputs, outputs, 3)
        )
        self.residual = nn.Conv2d(outputs, residual_channels, 1)
        nn.init.kaiming_uniform_(self.residual.weight, nonlinearity="linear")
        assert self.residual.bias is not None
        nn.init.zeros_(self.residual.bias)

    def forward(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        y = self.convs(torch.cat([y, F.max_pool2d(z, self.scale)], 1))
        return y, z + F.interpolate(self.residual(y), scale_factor=self.scale, mode="nearest")


class Stage(nn.Module):
    """The pooling stream brought to H/scale×W/scale, from half or from twice that, and its FRRUs."""

    def __init__(
        self, channels: int, residual_channels: int, outputs: int, units: int, *, scale: int, pool: bool
    ):
        super().__init__()
        self.resample = nn.MaxPool2d(2) if pool else nn.Upsample(scale_factor=2, mode="bilinear")
        self.units = nn.ModuleList(
            FullResolutionUnit(outputs if i else channels, residual_channels, outputs, scale)
            for i in range(units)
        )

    def forward(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        y = self.resample(y)
        for unit in self.units:
            y, z = unit(y, z)
        return y, z


class FRRN(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        num_classes: C.
        down: channels and number of FRRUs of each stage after a pooling, strides 2, 4, ...
        up: the same of each stage after an unpooling, from half the deepest stride to 2.
        base_channels: of the residual units at the start and at the end.
        residual_channels: of the residual stream.
        checkpoint: gradient checkpointing of every stage, to save memory; same gradients.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        width: multiplies every number of channels; below 1 for tests only.

    Raises:
        InputError: the stages up are not one fewer than those down.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        down: list[tuple[int, int]],
        up: list[tuple[int, int]],
        base_channels: int = 48,
        residual_channels: int = 32,
        checkpoint: bool = False,
        in_channels: int = 3,
        width: float = 1.0,
    ):
        super().__init__()
        if len(up) != len(down) - 1:
            problem = f"model.up has {len(up)} stages, model.down {len(down)}"
            raise InputError(problem, do="give one fewer up: the last unpooling has no FRRU")
        self.checkpoint, self.stride = checkpoint, 2 ** len(down)
        base, lanes = max(scaled(base_channels, width), 2), max(scaled(residual_channels, width), 2)

        self.normalize = normalization(in_channels)
        self.start = nn.Sequential(
            convolution(in_channels, base, 5), *(ResidualUnit(base, base) for _ in range(3))
        )
        self.split = convolution(base, lanes, 1, relu=False)
        self.stages, channels, scale = nn.ModuleList(), base, 1
        for index, (outputs, units) in enumerate([*down, *up]):
            pool = index < len(down)
            scale = scale * 2 if pool else scale // 2
            outputs = max(scaled(outputs, width), 2)
            self.stages.append(Stage(channels, lanes, outputs, units, scale=scale, pool=pool))
            channels = outputs
        self.unpool = nn.Upsample(scale_factor=2, mode="bilinear")
        merged = ResidualUnit(channels + lanes, base)
        self.end = nn.Sequential(merged, ResidualUnit(base, base), ResidualUnit(base, base))
        self.score = Score(base, num_classes)
        nn.init.kaiming_uniform_(self.score.weight, nonlinearity="linear")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[-2:]
        x = F.pad(self.normalize(images), (0, -width % self.stride, 0, -height % self.stride))
        y = self._run(self.start, x)
        z = self.split(y)
        for stage in self.stages:
            y, z = self._run(stage, y, z)
        y = self._run(self.end, torch.cat([self.unpool(y), z], 1))
        return {"out": crop(self.score(y), 0, 0, (height, width))}

    def _run(self, module: nn.Module, *inputs: Tensor) -> Any:
        return checkpointed(module, *inputs) if self.checkpoint else module(*inputs)
