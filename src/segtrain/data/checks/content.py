"""What masks hold, whatever is meant by it: numbers or colours, in areas or along smoothed edges."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from segtrain.contracts import Colour, HasPairs, Split
from segtrain.data.checks.scan import map_indices
from segtrain.data.io.masks import ARRAYS, INDEX_MODES, grey_channel, open_upright, read_mask

MOST_COLOURS = 256  # more are no classes, but smoothed edges or JPEG's noise
NOISE = 24  # grey levels that JPEG or smoothing moves a colour by within an area
SHARE = 1e-3  # of the pixels within areas: less is no colour of a class
EDGES = 8  # values that are nowhere in an area: so many are smoothed edges
Value = int | Colour
NOTHING: Mapping[Value, int] = MappingProxyType({})


class Content(NamedTuple):
    """What masks hold.

    Attributes:
        pixels, files: of each number, or of each RGB colour.
        steady: pixels of each value whose neighbours are within `NOISE` of it: those inside areas.
        solid: pixels of each value whose neighbours are all equal to it.
        lossy: how many masks are JPEGs.
    """

    pixels: Mapping[Value, int]
    files: Mapping[Value, int]
    steady: Mapping[Value, int] = NOTHING
    solid: Mapping[Value, int] = NOTHING
    lossy: int = 0

    @property
    def smooth(self) -> bool:
        """Whether most values come from smoothed edges or JPEG, and stand for no class."""
        edges = sum(value not in self.solid for value in self.pixels)
        many = edges >= EDGES and 2 * edges >= len(self.pixels)
        filled = 2 * sum(self.steady.values()) >= sum(self.pixels.values())
        return bool(self.lossy and len(self.pixels) > len(self.areas())) or (many and filled)

    def areas(self) -> list[Value]:
        """The values that areas are filled with, each with its noise around it, in order."""
        found: list[tuple[Value, int]] = []
        left = dict(sorted(self.steady.items(), key=lambda item: -item[1]))
        while left:
            value = next(iter(left))
            near = [other for other in left if _distance(value, other) <= NOISE]
            pure = [other for other in near if set(_channels(other)) <= {0, 255}]  # noise leads away from it
            found.append((pure[0] if pure else value, sum(left.pop(other) for other in near)))
        least = SHARE * sum(self.steady.values())
        kept: list = [value for value, count in found if count >= least]
        return sorted(kept)


class _Values(NamedTuple):
    """One mask's pixels of each number and of each colour."""

    numbers: "_Counts | None"
    colours: "_Counts | None"
    lossy: bool


class _Counts(NamedTuple):
    pixels: dict
    steady: dict
    solid: dict


def mask_files(splits: Iterable[Split]) -> list[Path]:
    """The files of the masks of those splits that have some."""
    pairs = chain.from_iterable(split.pairs for split in splits if isinstance(split, HasPairs))
    return [pair.mask for pair in pairs if pair.mask.is_file() and pair.mask != pair.image]


def read_content(
    paths: list[Path], *, coloured: bool = False, advance: Callable[[int], None] | None = None
) -> Content:
    """What the masks that can be read as images hold; colours as soon as one of them has colours.

    Args:
        paths: of the masks.
        coloured: they are meant as colours, palette images too.
        advance: is called after each.
    """
    read = [one for one in map_indices(len(paths), lambda i: _values(paths[i]), advance) if one]
    coloured = coloured or any(one.numbers is None for one in read)
    pixels, files, steady, solid = Counter[Value](), Counter[Value](), Counter[Value](), Counter[Value]()
    for one in read:
        counts = one.colours if coloured else one.numbers
        if counts is not None:
            pixels.update(counts.pixels)
            files.update(counts.pixels.keys())
            steady.update(counts.steady)
            solid.update(counts.solid)
    return Content(dict(pixels), dict(files), dict(steady), dict(solid), sum(one.lossy for one in read))


def _values(path: Path) -> _Values | None:
    try:
        if path.suffix.lower() in ARRAYS:
            return _Values(_count(read_mask(path).astype(np.int32)[..., None]), None, False)
        image = open_upright(path)
        if image.mode == "F":
            return None
        lossy = path.suffix.lower() in (".jpg", ".jpeg")
        grey = np.asarray(image) if image.mode in INDEX_MODES else grey_channel(image, path)
        numbers = None if grey is None else _count(grey.astype(np.int32)[..., None])
        if image.mode.startswith("I"):  # no colours
            return _Values(numbers, None, lossy)
        return _Values(numbers, _count(_rgb(image)), lossy)
    except Exception:  # whatever is no image has its fault already
        return None


def _rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA").convert("RGB"), np.int32)


def _count(channels: np.ndarray) -> _Counts:
    """Pixels of each value of an int32 H×W×C: of all, and of those within areas."""
    packed = channels[..., 0]
    for channel in range(1, channels.shape[2]):
        packed = packed << 8 | channels[..., channel]
    spread = np.max([_range(channels[..., c]) for c in range(channels.shape[2])], axis=0)
    parts = (packed, packed[spread <= NOISE], packed[spread == 0])
    return _Counts(*(_most_frequent(part, channels.shape[2]) for part in parts))


def _range(channel: np.ndarray) -> np.ndarray:
    """The largest minus the smallest value in each pixel's 3×3 neighbourhood."""
    values, square = channel.astype(np.float32), np.ones((3, 3), np.uint8)
    return cv2.dilate(values, square) - cv2.erode(values, square)


def _most_frequent(packed: np.ndarray, channels: int) -> dict[Value, int]:
    values, counts = np.unique(packed, return_counts=True)
    most = np.argsort(-counts, kind="stable")[: MOST_COLOURS + 1]
    unpacked = values[most].tolist()
    names = unpacked if channels == 1 else [(v >> 16, v >> 8 & 255, v & 255) for v in unpacked]
    return dict(zip(names, counts[most].tolist(), strict=True))


def _distance(a: Value, b: Value) -> int:
    """The largest difference of two numbers, or of two colours in a channel."""
    return max(abs(x - y) for x, y in zip(_channels(a), _channels(b), strict=True))


def _channels(value: Value) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
