"""What images a network takes: how many channels, and which of their numbers are dark and bright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RGB_CHANNELS = 3
MOST_CHANNELS = 64
DTYPES = ("uint8", "uint16", "int16", "float32")  # of images
# ImageNet's RGB: what is padded is nearly zero once a backbone has normalised it.
MEAN_COLOUR = (124, 116, 104)
GREY = 117  # its luminance
WHITE = 255.0  # the brightest number of a channel of 8 bits


@dataclass(frozen=True)
class InputSpec:
    """The images of a data set, as its network gets them.

    Attributes:
        channels: 1 to 64.
        dtype: of the numbers: uint8, uint16, int16 or float32.
        low, high: for each channel, what is shown as black and as white; empty for 0 and 255.
        mean, std: for each channel, what the network subtracts and divides by; empty where the images
            are taken to a network's own mean and std by `low` and `high`.
        rgb: the three channels that are shown and given to the CRF, counted from 0.

    Example:
        >>> InputSpec(channels=4, rgb=(2, 1, 0)).is_rgb8
        False
    """

    channels: int = RGB_CHANNELS
    dtype: str = "uint8"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    rgb: tuple[int, ...] = (0, 1, 2)

    @property
    def is_rgb8(self) -> bool:
        """Whether the images are RGB with 8 bits, which are shown as they are."""
        return self.channels == RGB_CHANNELS and self.dtype == "uint8" and self.rgb == (0, 1, 2)

    @property
    def fill(self) -> tuple[float, ...]:
        """The number of each channel that a network takes for nothing: its mean."""
        if self.mean:
            return self.mean
        share = MEAN_COLOUR if self.channels == RGB_CHANNELS else (GREY,) * self.channels
        low, high = self.range
        return tuple(lo + s / WHITE * (hi - lo) for s, lo, hi in zip(share, low, high, strict=True))

    @property
    def range(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """`low` and `high` of every channel."""
        return self.low or (0.0,) * self.channels, self.high or (WHITE,) * self.channels

    def to_rgb(self, image: np.ndarray) -> np.ndarray:
        """An image as people see it, and the CRF.

        Args:
            image: H×W×C of `dtype`.

        Returns:
            uint8 H×W×3: the image itself where it is RGB with 8 bits, else the channels of `rgb`,
            from `low` to `high`; a single channel is grey.
        """
        if self.is_rgb8:
            return image
        shown = list(self.rgb)
        low, high = (np.array(bound, np.float32)[shown] for bound in self.range)
        stretched = (image[..., shown].astype(np.float32) - low) * (WHITE / np.maximum(high - low, 1e-12))
        return stretched.round().clip(0, WHITE).astype(np.uint8)

    def as_json(self) -> dict[str, Any]:
        """A dict for a checkpoint; `InputSpec.of_json` reads it."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def of_json(cls, values: dict[str, Any] | None) -> InputSpec:
        """From what `as_json` gives; RGB with 8 bits where a checkpoint has none."""
        read: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in (values or {}).items()}
        return cls(**read)

    def words(self) -> str:
        """In a line for the log: `13 channels of uint16, mean 412, 388, ..., std 90, 75, ...`."""
        if self.is_rgb8 and not self.mean:
            return "RGB with 8 bits"
        text = f"{self.channels} channel{'s' * (self.channels > 1)} of {self.dtype}"
        if self.mean:
            return f"{text}, mean {_numbers(self.mean)}, std {_numbers(self.std)}"
        low, high = self.range
        return f"{text}, from {_numbers(sorted(set(low)))} to {_numbers(sorted(set(high)))}"


def default_rgb(channels: int) -> tuple[int, ...]:
    """The channels that are shown where nobody says which: the first three, or the only one."""
    return (0, 1, 2) if channels >= RGB_CHANNELS else (0, 0, 0)


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


RGB8 = InputSpec()
