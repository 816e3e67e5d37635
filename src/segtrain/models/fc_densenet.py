"""FC-DenseNet56, 67 and 103.

"The One Hundred Layers Tiramisu: Fully Convolutional DenseNets for Semantic Segmentation",
Jégou, Drozdzal, Vazquez, Romero and Bengio, CVPR Workshops 2017, https://arxiv.org/abs/1611.09326.

A U of dense blocks (section 3.2, Tables 1 and 2): going down, a block's maps join its input;
going up, only the maps that a block made itself are upsampled. Followed is the authors' code, whose
stacks are 16 maps higher than the paper's Table 2 from the bottleneck on (896, 1088, 816, 576, 384;
the last 256 agrees). Poolings round down, a transposed convolution gives 2n+1 cells, which are
cropped about the centre to the skip. The authors normalise by the batch's own statistics at test
time too: `batch_statistics`. Departs: a side of one pixel is not pooled, so that every image fits;
images are normalised by ImageNet's mean and std.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.layers.dense_block import DenseBlock, PreActivation, run_layer
from segtrain.layers.grid import crop
from segtrain.layers.init import he_uniform
from segtrain.layers.normalize import normalization
from segtrain.layers.score import Score
from segtrain.layers.width import scaled


class TransitionDown(nn.Module):
    """N×C×H×W together to N×C×⌊H/2⌋×⌊W/2⌋: BatchNorm, ReLU, 1×1 convolution, dropout, max pooling."""

    def __init__(self, channels: int, *, dropout: float, batch_statistics: bool, checkpoint: bool):
        super().__init__()
        self.layer = PreActivation(channels, channels, 1, dropout=dropout, batch_statistics=batch_statistics)
        self.checkpoint = checkpoint

    def forward(self, *maps: Tensor) -> Tensor:
        x = run_layer(self.layer, *maps, checkpoint=self.checkpoint)
        return F.max_pool2d(x, [1 if side == 1 else 2 for side in x.shape[-2:]])


class TransitionUp(nn.Module):
    """The maps upsampled to 2n+1 cells a side and cropped about the centre to a skip's size."""

    def __init__(self, channels: int):
        super().__init__()
        self.deconv = nn.ConvTranspose2d(channels, channels, 3, stride=2)

    def forward(self, size: tuple[int, int], *maps: Tensor) -> Tensor:
        # The centre of 2n+1 cells is the first 2n of them, or all; of the 3 of an unpooled pixel the second.
        top, left = (1 if side == 1 else 0 for side in size)
        return crop(self.deconv(torch.cat(maps, 1)), top, left, size)


class JoiningScore(Score):
    """The logits of several maps together."""

    def forward(self, *maps: Tensor) -> Tensor:
        return super().forward(torch.cat(maps, 1))


class FCDenseNet(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}.

    Args:
        num_classes: C.
        growth_rate: k, the maps that a layer makes.
        layers: of each dense block, down, bottleneck and up: an odd number of blocks.
        first_channels: maps of the first convolution.
        dropout: after every convolution of the blocks and of the transitions down.
        batch_statistics: BatchNorm uses the batch's own statistics in eval mode as well.
        checkpoint: gradient checkpointing of every layer, to save memory; same gradients.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        width: multiplies `growth_rate` and `first_channels`; below 1 for tests only.

    Raises:
        InputError: an even number of blocks; in forward, `batch_statistics` where the deepest maps
            of the batch have one cell (one image of less than 64×64 pixels).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        growth_rate: int,
        layers: list[int],
        first_channels: int = 48,
        dropout: float = 0.2,
        batch_statistics: bool = False,
        checkpoint: bool = False,
        in_channels: int = 3,
        width: float = 1.0,
    ):
        super().__init__()
        poolings = len(layers) // 2
        if len(layers) != 2 * poolings + 1:
            problem = f"model.layers={list(layers)}: {len(layers)} blocks have no middle"
            raise InputError(problem, do="give an odd number: down, bottleneck, up")
        knobs: dict[str, Any] = {
            "dropout": dropout,
            "batch_statistics": batch_statistics,
            "checkpoint": checkpoint,
        }
        growth_rate = max(scaled(growth_rate, width), 2)
        channels = max(scaled(first_channels, width), 2)

        self.checkpoint, self.normalize = checkpoint, normalization(in_channels)
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.down, self.transitions_down, skips = nn.ModuleList(), nn.ModuleList(), []
        for count in layers[:poolings]:
            self.down.append(DenseBlock(channels, count, growth_rate, **knobs))
            channels += count * growth_rate
            self.transitions_down.append(TransitionDown(channels, **knobs))
            skips.append(channels)
        self.bottleneck = DenseBlock(channels, layers[poolings], growth_rate, **knobs)
        made = layers[poolings] * growth_rate
        self.transitions_up, self.up = nn.ModuleList(), nn.ModuleList()
        for count in layers[poolings + 1 :]:
            self.transitions_up.append(TransitionUp(made))
            channels = made + skips.pop()
            self.up.append(DenseBlock(channels, count, growth_rate, **knobs))
            made = count * growth_rate
        self.score = JoiningScore(channels + made, num_classes)
        he_uniform(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        stack, skips = [self.first(self.normalize(images))], []
        for block, transition in zip(self.down, self.transitions_down, strict=True):
            stack = self._together(*stack, *block(*stack))
            skips.append(stack)
            stack = [transition(*stack)]
        made = self.bottleneck(*stack)
        for transition, block in zip(self.transitions_up, self.up, strict=True):
            skip = skips.pop()
            x = run_layer(transition, skip[0].shape[-2:], *made, checkpoint=self.checkpoint)
            stack = self._together(x, *skip)
            made = block(*stack)
        return {"out": run_layer(self.score, *stack, *made, checkpoint=self.checkpoint)}

    def _together(self, *maps: Tensor) -> list[Tensor]:
        """One stack of them; with checkpointing themselves, as a layer's inputs are what is kept."""
        return list(maps) if self.checkpoint else [torch.cat(maps, 1)]
