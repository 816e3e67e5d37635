"""U-Net.

"U-Net: Convolutional Networks for Biomedical Image Segmentation", Ronneberger, Fischer and Brox,
MICCAI 2015, https://arxiv.org/abs/1505.04597.

Two 3×3 convolutions a stage, five stages down, four up; each up-convolution halves the channels and
is concatenated with the stage of its size (Figure 1). `padding=valid` is the paper's: convolutions
without padding take 92 pixels from every side (572 to 388), which the mirrored image gives, tile by
tile where `tile` is set (section 2). `padding=same` keeps sizes. Dropout, in the skip of its stage too,
and ReLU after up-convolutions are the released Caffe net's; initial values are section 3's.
Departs: any image size, by poolings that round up (`same`; no change on multiples of 16) or a wider
border (`valid`; none on 16k + 4); crops in training are mirrored as well, where the paper's windows
show what lies around; images are normalised. BatchNorm is an option that the paper has not.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.layers.grid import crop
from segtrain.layers.init import he_normal
from segtrain.layers.normalize import normalization
from segtrain.layers.reflect import reflect_pad
from segtrain.layers.score import Score
from segtrain.layers.tiles import stitch
from segtrain.layers.up_conv import UpConv
from segtrain.layers.width import scaled

CHANNELS = (64, 128, 256, 512, 1024)
DROPPED = 3  # dropout ends the stages from this one on, d3 and d4
STRIDE = 16
MARGIN = 92  # pixels that the unpadded convolutions take from every side
SMALLEST = 4  # the least output without padding; others are 16 pixels more


def double_conv(channels: int, out_channels: int, padding: int, batch_norm: bool) -> nn.Sequential:
    """Two 3×3 convolutions, each with ReLU; before it, instead of a bias, BatchNorm."""
    layers: list[nn.Module] = []
    for inputs in (channels, out_channels):
        layers.append(nn.Conv2d(inputs, out_channels, 3, padding=padding, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(out_channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        num_classes: C.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        padding: `same`, or `valid`, the paper's.
        batch_norm: after every 3×3 convolution.
        dropout: at the end of the two deepest stages.
        tile: side of the tiles of `valid` in evaluation, 16k + 4 as the paper's 388: features of one
            tile at a time, and the same logits. Null: the whole image at once.
        width: multiplies every number of channels; below 1 for tests only.

    Raises:
        InputError: a tile with `same`, or of another side.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        padding: Literal["same", "valid"] = "same",
        batch_norm: bool = False,
        dropout: float = 0.5,
        tile: int | None = None,
        width: float = 1.0,
    ):
        super().__init__()
        if tile is not None and (padding == "same" or tile % STRIDE != SMALLEST or tile <= SMALLEST):
            raise InputError(
                f"model.tile={tile} with model.padding={padding}",
                do="use 20, 36, ... 388 with model.padding=valid; null is the whole image at once",
            )
        self.padding, self.tile = padding, tile
        pad = 1 if padding == "same" else 0
        channels = [scaled(c, width) for c in CHANNELS]
        self.normalize = normalization(in_channels)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)  # without padding sizes are even here
        self.dropout = nn.Dropout(dropout)
        self.down, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for above, below in pairwise([in_channels, *channels]):
            self.down.append(double_conv(above, below, pad, batch_norm))
        for below, above in pairwise(reversed(channels)):
            self.up.append(nn.Sequential(UpConv(below, above, 2), nn.ReLU(inplace=True)))
            self.merge.append(double_conv(2 * above, above, pad, batch_norm))
        self.head: nn.Module = nn.Identity()  # other libraries have one
        self.score = Score(channels[0], num_classes)
        he_normal(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if self.padding == "same":
            return {"out": self.logits(images)}
        height, width = images.shape[-2:]
        below, right = (MARGIN + enlarged(pixels) - pixels for pixels in (height, width))
        mirrored = reflect_pad(images, (MARGIN, right, MARGIN, below))
        if self.tile and not self.training and isinstance(height, int):  # exported for any size: at once
            step = self.tile - SMALLEST
            out = stitch(self.logits, mirrored, tile=self.tile, margin=MARGIN, step=step)
        else:
            out = self.logits(mirrored)
        return {"out": crop(out, 0, 0, (height, width))}

    def logits(self, images: Tensor) -> Tensor:
        """The image at once: N×C×H×W with `same`; with `valid` N×C×(H-184)×(W-184), H and W 16k + 12."""
        x, skips = self.normalize(images), []
        for i, stage in enumerate(self.down):
            x = stage(self.pool(x) if i else x)
            x = self.dropout(x) if i >= DROPPED else x
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            x = merge(concatenate(up(x), skip))
        return self.score(self.head(x))


def enlarged(pixels: int) -> int:
    """The next 16k + 4, written so: with k an exporter knows that every pooling halves evenly."""
    return STRIDE * ((pixels - SMALLEST + STRIDE - 1) // STRIDE) + SMALLEST


def concatenate(up: Tensor, skip: Tensor) -> Tensor:
    """Both maps' channels: the middle of a larger `skip`; of a larger `up` what covers `skip`."""
    height, width = (min(sides) for sides in zip(up.shape[-2:], skip.shape[-2:], strict=True))
    top, left = (skip.shape[-2] - height) // 2, (skip.shape[-1] - width) // 2
    return torch.cat([crop(up, 0, 0, (height, width)), crop(skip, top, left, (height, width))], 1)
