"""Dense blocks (Huang et al., CVPR 2017, https://arxiv.org/abs/1608.06993), as FC-DenseNet has them."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.layers.gradient_checkpointing import checkpointed

EPS = 1e-4  # Lasagne's default


class PreActivation(nn.Module):
    """BatchNorm, ReLU, convolution with bias, dropout: N×channels×H×W to N×outputs×H×W.

    Args:
        channels: of all the inputs together, which are concatenated here so that a checkpointed
            layer keeps the maps themselves and no copy of the growing stack.
        outputs: maps made; kernel: odd, padded to keep the size.
        dropout: of single values.
        batch_statistics: BatchNorm uses the batch's own statistics in eval mode as well.

    Raises:
        InputError: `batch_statistics` in eval mode where the batch has one value a channel.
    """

    def __init__(
        self, channels: int, outputs: int, kernel: int, *, dropout: float, batch_statistics: bool = False
    ):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=EPS)
        self.conv = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2)
        self.dropout = nn.Dropout(dropout)
        self.batch_statistics = batch_statistics

    def forward(self, *maps: Tensor) -> Tensor:
        x = F.relu(self._normalised(torch.cat(maps, 1)), inplace=True)
        return self.dropout(self.conv(x))

    def _normalised(self, x: Tensor) -> Tensor:
        norm = self.norm
        if norm.training or not self.batch_statistics:
            return norm(x)
        if x[:, 0].numel() == 1:
            raise InputError(
                "model.batch_statistics: one value a channel has no variance",
                do="give more or larger images at a time, or add model.batch_statistics=false",
            )
        return F.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)


class DenseBlock(nn.Module):
    """The maps that its layers make, N×growth_rate×H×W each, of N×channels×H×W together; not the input.

    Each layer (3×3) sees the input and the maps of all layers before it.

    Args:
        channels: of the input.
        layers: their number; growth_rate: maps that each makes.
        dropout, batch_statistics: of each layer.
        checkpoint: gradient checkpointing of every layer, to save memory; same gradients.
    """

    def __init__(
        self,
        channels: int,
        layers: int,
        growth_rate: int,
        *,
        dropout: float,
        batch_statistics: bool = False,
        checkpoint: bool = False,
    ):
        super().__init__()
        self.checkpoint = checkpoint
        self.layers = nn.ModuleList(
            PreActivation(
                channels + i * growth_rate, growth_rate, 3, dropout=dropout, batch_statistics=batch_statistics
            )
            for i in range(layers)
        )

    def forward(self, *maps: Tensor) -> list[Tensor]:
        made: list[Tensor] = []
        for layer in self.layers:
            made.append(run_layer(layer, *maps, *made, checkpoint=self.checkpoint))
        return made


def run_layer(module: nn.Module, *inputs: Any, checkpoint: bool) -> Tensor:
    """A layer's output, with gradient checkpointing if wanted."""
    return cast(Tensor, checkpointed(module, *inputs) if checkpoint else module(*inputs))
