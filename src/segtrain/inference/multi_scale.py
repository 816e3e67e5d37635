"""The image at several sizes."""

from typing import Literal

from torch import Tensor

from segtrain.contracts import Inference, Network, Rows
from segtrain.errors import InputError
from segtrain.inference.rows import logits, mean, probabilities, resized
from segtrain.inference.scaled import check_scale, resized_images, scaled_size
from segtrain.inference.whole import Whole


class MultiScale:
    """The mean over several sizes of the image, each mirrored too if wanted: DeepLab v3 (Chen et al.
    2017, section 4.1) on whole images, PSPNet (Zhao et al. 2017) on sliding windows (`base`).

    Images are resized bilinearly, as in training, and the scores back to the image's size.

    Args:
        scales: sides of what the network sees over those of the image.
        flip: every image, or window, also mirrored.
        average: of the class `probabilities`, as both papers, or of the `logits`.
        base_size: the image's longer side at scale 1, as PSPNet's 512; null: its own.
        base: the inference applied to each size.

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
        base: Inference | None = None,
    ):
        if not scales:
            raise InputError("inference.scales must not be empty, got []", do="give some, as [0.75,1,1.25]")
        for scale in scales:
            check_scale(scale, "inference.scales")
        if base_size is not None and base_size < 1:
            raise InputError(
                f"inference.base_size must be at least 1 or null, got {base_size}", do="give pixels, as 512"
            )
        self.scales, self.flip, self.average, self.base_size = scales, flip, average, base_size
        self.base = base or Whole()

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        size, views = images.shape[-2:], []
        base = 1.0 if self.base_size is None else self.base_size / max(size)
        for scale in self.scales:
            seen = scaled_size(size, base * scale)
            rows = self.base(self._mirrored_too(network), resized_images(images, seen), names)
            views.append(resized(self._averaged(rows), seen, size))
        return self._mean(views)

    def _mirrored_too(self, network: Network) -> Network:
        """The network, or its mean over an image and the mirrored one."""
        if not self.flip:
            return network

        def both(images: Tensor) -> Rows:
            upright, mirrored = network(images), network(images.flip(-1))
            unmirrored: Rows = lambda start, stop: mirrored(start, stop).flip(-1)  # noqa: E731
            return self._mean([self._averaged(upright), self._averaged(unmirrored)])

        return both

    def _averaged(self, rows: Rows) -> Rows:
        """What is averaged of logits."""
        return rows if self.average == "logits" else probabilities(rows)

    def _mean(self, views: list[Rows]) -> Rows:
        """The logits of the mean."""
        rows = mean(views)
        return rows if self.average == "logits" else lambda start, stop: logits(rows(start, stop))
