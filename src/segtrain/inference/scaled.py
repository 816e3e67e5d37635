"""The image at another size."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import Network, Rows
from segtrain.errors import InputError
from segtrain.inference.rows import all_rows, resized, rows_of


class Scaled:
    """The whole image at another size, its scores enlarged again (bilinear), as FRRN.

    Args:
        scale: sides of what the network sees over those of the image.

    Raises:
        InputError: a scale that is not positive.
    """

    def __init__(self, *, scale: float):
        check_scale(scale, "inference.scale")
        self.scale = scale

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        size = images.shape[-2:]
        seen = scaled_size(size, self.scale)
        # As in training, every pixel of the smaller image is the mean of those that it stands for.
        smaller = F.interpolate(images.float(), seen, mode="area")
        return resized(network(smaller), seen, size)


def check_scale(scale: float, key: str) -> None:
    """Refuses a factor of an image's sides that makes none.

    Args:
        scale: the factor.
        key: that it was given by, for the message.

    Raises:
        InputError: it is not a finite number above 0.
    """
    if not 0 < scale < math.inf:
        raise InputError(
            f"{key} must be a finite number above 0, got {scale}", do="give 0.5 for half the sides"
        )


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """A height and a width times `scale`, at least 1."""
    height, width = (max(round(pixels * scale), 1) for pixels in size)
    return height, width


def resized_images(images: Tensor, size: Sequence[int]) -> Tensor:
    """Images N×3×H×W at another size, bilinear; bytes stay bytes."""
    if tuple(images.shape[-2:]) == size:
        return images
    rows = resized(lambda start, stop: rows_of(images)(start, stop).float(), images.shape[-2:], size)
    if images.dtype == torch.uint8:
        return all_rows(rows, size[0], lambda block: block.round().to(torch.uint8))
    return all_rows(rows, size[0])
