"""The anatomy of a network of ours: layers, multiply-adds and receptive fields for an image size."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from segtrain.anatomy.layer import Anatomy
from segtrain.anatomy.trace import Costs, take_apart
from segtrain.crf.torch_backend.backend import MeanField
from segtrain.input_spec import RGB_CHANNELS


def _mean_field(module: Any, inputs: tuple[Tensor, ...]) -> int:
    """What a matrix of compatibility costs; the lattice has no products of matrices."""
    classes, rows, columns = inputs[-1].shape[1:]
    return module.test_iterations * len(module.kernels) * classes**2 * rows * columns


COSTS: dict[type, Costs] = {MeanField: _mean_field}


def anatomy_of(network: nn.Module, size: tuple[int, int], channels: int = RGB_CHANNELS) -> Anatomy:
    """Takes a network apart for an image of one size; computes nothing, needs no weights and no memory.

    Args:
        network: on any device, also meta.
        size: H, W. channels: of the image.

    Returns:
        Its layers; `.multiply_adds`, `.parameters` and `.memory` are their sums.

    Example:
        >>> anatomy_of(network, (360, 480)).multiply_adds
    """
    return take_apart(network, size, channels=channels, costs=COSTS)
