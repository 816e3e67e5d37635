"""The image at another size, or at several."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.inference.rows import (
    Inference,
    Network,
    Rows,
    logits,
    mean,
    probabilities,
    resized,
    rows_of,
    whole,
)
from segtrain.inference.whole import Whole


class Scaled:
    """The whole image at another size, its scores enlarged again (bilinear), as FRRN.

    Args:
        scale: sides of what the network sees over those of the image.

    Raises:
        InputError: a scale that is not positive.
    """

    def __init__(self, *, scale: float):
        check_scale(scale, f"inference.scale={scale}")
        self.scale = scale

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        size = images.shape[-2:]
        seen = scaled_size(size, self.scale)
        # As in training, every pixel of the smaller image is the mean of those that it stands for.
        smaller = F.interpolate(images.float(), seen, mode="area")
        return resized(network(smaller), seen, size)


class MultiScale:
    """The mean over several sizes of the image, each mirrored too if wanted: DeepLab v3 (Chen et al.
    2017, section 4.1) on whole images, PSPNet (Zhao et al. 2017) on sliding windows (`inner`).

    Images are resized bilinearly, as in training, and the scores back to the image's size.

    Args:
        scales: sides of what the network sees over those of the image.
        flip: every image, or window, also mirrored.
        average: of the class `probabilities`, as both papers, or of the `logits`.
        base_size: the image's longer side at scale 1, as PSPNet's 512; null: its own.
        inner: the way that the network is applied to each size.

    Raises:
        InputError: no scale, or one that is not positive.
    """

    def __init__(
        self,
        *,
        scales: list[float],
        flip: bool = True,
        average: Literal["probabilities", "logits"] = "probabilities",
        base_size: int | None = None,
        inner: Inference | None = None,
    ):
        if not scales:
            raise InputError("inference.scales=[]", do="give some, as [0.75,1,1.25]")
        for scale in scales:
            check_scale(scale, f"inference.scales={list(scales)}")
        if base_size is not None and base_size < 1:
            raise InputError(f"inference.base_size={base_size}", do="give pixels, as 512, or null")
        self.scales, self.flip, self.average, self.base_size = scales, flip, average, base_size
        self.inner = inner or Whole()

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        size, views = images.shape[-2:], []
        base = 1.0 if self.base_size is None else self.base_size / max(size)
        for scale in self.scales:
            seen = scaled_size(size, base * scale)
            rows = self.inner(self._mirrored_too(network), resized_images(images, seen), names)
            views.append(resized(self._averaged(rows), seen, size))
        return self._mean(views)

    def _mirrored_too(self, network: Network) -> Network:
        """The network, or its mean over an image and the mirrored one."""
        if not self.flip:
            return network

        def both(images: Tensor) -> Rows:
            upright, mirrored = network(images), network(images.flip(-1))
            turned_back: Rows = lambda start, stop: mirrored(start, stop).flip(-1)  # noqa: E731
            return self._mean([self._averaged(upright), self._averaged(turned_back)])

        return both

    def _averaged(self, rows: Rows) -> Rows:
        """What is averaged of logits."""
        return rows if self.average == "logits" else probabilities(rows)

    def _mean(self, views: list[Rows]) -> Rows:
        """The logits of the mean."""
        rows = mean(views)
        return rows if self.average == "logits" else lambda start, stop: logits(rows(start, stop))


def check_scale(scale: float, key: str) -> None:
    """Raises InputError, naming the key and its value, where it is not positive."""
    if not scale > 0:
        raise InputError(key, do="give a number above 0, as 0.5")


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """A height and a width times `scale`, at least 1."""
    height, width = (max(round(pixels * scale), 1) for pixels in size)
    return height, width


def resized_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images N×3×H×W at another size, bilinear; bytes stay bytes."""
    if tuple(images.shape[-2:]) == size:
        return images
    rows = resized(lambda start, stop: rows_of(images)(start, stop).float(), images.shape[-2:], size)
    if images.dtype == torch.uint8:
        return whole(rows, size[0], lambda band: band.round().to(torch.uint8))
    return whole(rows, size[0])
