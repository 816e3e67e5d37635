"""Image files to the images of a data set: the channels that were chosen, all of one dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtrain.data.io.rasters import Raster, read_raster
from segtrain.errors import InputError
from segtrain.input_spec import MOST_CHANNELS, RGB_CHANNELS, default_rgb

WHITE_16 = 65535  # of 16-bit grey images in a data set of 8 bits: the number that becomes 255
CHOOSE = "choose them by data.channels, as [1,2,3]"
STORE = "store all images alike, or choose by data.channels what all have"


class ImageLayout(NamedTuple):
    """How many channels an image has in memory, and of which numbers."""

    channels: int = RGB_CHANNELS
    dtype: str = "uint8"


RGB_LAYOUT = ImageLayout()


class ImageReader:
    """Reads the images of a data set from their files.

    Where the layout is RGB with 8 bits, grey files become RGB, and an alpha channel is left out.

    Args:
        layout: of every image; `find_layout` finds it.
        channels: of the file, counted from 1, in the order in which the network gets them; None
            takes all.
        bands: suffixes of the files that hold the channels of an image, as `_B02`; the image's
            own path has the first.
        white: of 16-bit grey files under an RGB layout: what becomes 255.
    """

    def __init__(
        self,
        layout: ImageLayout = RGB_LAYOUT,
        *,
        channels: Sequence[int] | None = None,
        bands: Sequence[str] = (),
        white: int | None = None,
    ):
        self.layout, self.channels, self.bands = layout, channels, tuple(bands)
        self.white = white or WHITE_16

    def __call__(self, path: Path) -> np.ndarray:
        """The image, H×W×C. Raises InputError."""
        return self.with_invalid(path)[0]

    def with_invalid(
        self, path: Path, read: Callable[[Path], Raster] = read_raster
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The image, H×W×C, and which of its pixels have no data, bool H×W or None.

        Args:
            path: of its file, or of the first of its files.
            read: reads a file, or a part of it.

        Raises:
            InputError: it cannot be read, or is another kind of image.
        """
        raster = self.raster(path, read)
        values = raster.values
        if self.channels is None and self.layout == RGB_LAYOUT:
            return self._as_rgb(raster, path), raster.invalid
        if self.channels is None and raster.alpha and values.shape[2] == self.layout.channels + 1:
            values = values[..., :-1]
        if (values.shape[2], str(values.dtype)) != self.layout:
            channels, dtype = self.layout
            raise InputError(
                f"{path}: the image must have {channels} channel{'s' * (channels > 1)} of {dtype}, as the"
                f" first ones of the data, got {raster.words()}",
                do=STORE,
            )
        return values, raster.invalid

    def raster(self, path: Path, read: Callable[[Path], Raster] = read_raster) -> Raster:
        """What the image's file or files hold, of the channels that were chosen. Raises InputError."""
        raster = self._all_bands(path, read) if self.bands else read(path)
        if self.channels is None:
            return raster
        stored = raster.values.shape[2]
        if max(self.channels) > stored:
            raise InputError(
                f"data.channels must be 1 to {stored}, which {path} has, got {list(self.channels)}",
                do="count channels from 1",
            )
        chosen = np.ascontiguousarray(raster.values[..., [channel - 1 for channel in self.channels]])
        return Raster(chosen, raster.invalid)

    def _all_bands(self, path: Path, read: Callable[[Path], Raster]) -> Raster:
        """The channels of the files of one image, one after the other."""
        rasters = [read(band) for band in band_paths(path, self.bands)]
        if len({(one.values.shape[:2], one.values.dtype) for one in rasters}) > 1:
            found = ", ".join(
                f"{one.values.shape[1]}×{one.values.shape[0]} {one.values.dtype}" for one in rasters
            )
            raise InputError(
                f"{path}: its files {', '.join(self.bands)} must be alike, got {found}", do="resample them"
            )
        invalid = [one.invalid for one in rasters if one.invalid is not None]
        values = np.concatenate([one.values for one in rasters], 2)
        return Raster(values, np.logical_or.reduce(invalid) if invalid else None)

    def _as_rgb(self, raster: Raster, path: Path) -> np.ndarray:
        """uint8 H×W×3."""
        values = raster.values[..., :-1] if raster.alpha else raster.values
        if values.dtype == np.uint16 and values.shape[2] == 1:
            values = (values * np.float32(255 / self.white)).round().clip(0, 255).astype(np.uint8)
        if values.dtype == np.uint8 and values.shape[2] == 1:
            return np.repeat(values, RGB_CHANNELS, axis=2)
        if values.dtype == np.uint8 and values.shape[2] == RGB_CHANNELS:
            return values
        raise InputError(
            f"{path}: the image must be RGB or grey with 8 bits, as the first ones of the data, got"
            f" {raster.words()}",
            do=STORE,
        )


def read_image(path: Path, white: int | None = None) -> np.ndarray:
    """uint8 H×W×3 RGB, upright; an alpha channel is left out, 16-bit grey is scaled so that `white`
    becomes 255. Raises InputError, also for other channels and other numbers."""
    return ImageReader(white=white)(path)


def band_paths(path: Path, bands: Sequence[str]) -> list[Path]:
    """The files of an image whose first one is `path`: a_B02.tif, a_B03.tif.

    Raises:
        InputError: the path's name does not end in the first suffix.
    """
    stem, first = path.name.removesuffix(path.suffix), bands[0]
    if not stem.endswith(first):
        raise InputError(f"{path}: its name must end in {first}, the first of data.bands", do="rename it")
    return [path.with_name(stem.removesuffix(first) + band + path.suffix) for band in bands]


def check_channels(channels: Any, key: str) -> None:
    """Raises InputError where the numbers of channels are not those of channels, counted from 1."""
    if channels is not None and (
        not channels
        or len(channels) > MOST_CHANNELS
        or min(channels) < 1
        or len(set(channels)) != len(channels)
    ):
        raise InputError(f"{key} must be different numbers from 1, got {list(channels)}", do="as [4,3,2]")


def find_layout(images: Iterable[tuple[Path, Raster]], *, chosen: bool) -> tuple[ImageLayout, list[str]]:
    """The layout that the first images of a data set have in common.

    8-bit grey and RGB, palettes, and 16-bit grey among them become RGB. Four channels of which the
    last is alpha are used where all images have them and some are not opaque.

    Args:
        images: paths and what they hold.
        chosen: the user chose the channels.

    Returns:
        The layout, and what is not used of the files, for the log.

    Raises:
        InputError: images that have no layout in common.
    """
    first: dict[ImageLayout, Path] = {}
    transparent, count = 0, 0
    for path, raster in images:
        count += 1
        values = raster.values
        opaque = not raster.alpha or bool((values[..., -1] == values[0, 0, -1]).all())
        transparent += not opaque
        channels = values.shape[2] - (raster.alpha and opaque)
        first.setdefault(ImageLayout(channels, str(values.dtype)), path)
    if not first:  # none can be read, which is said of each
        return RGB_LAYOUT, []
    kinds = set(first)
    dtypes = {kind.dtype for kind in kinds}
    most = max(kind.channels for kind in kinds)
    if len(kinds) == 1 and (chosen or dtypes != {"uint8"} or most > RGB_CHANNELS):
        return kinds.pop(), []
    grey16 = {kind for kind in kinds if kind == ImageLayout(1, "uint16")}
    if {kind.dtype for kind in kinds - grey16} <= {"uint8"} and most <= RGB_CHANNELS + 1 and not chosen:
        unused = (
            f"transparency of {transparent} of {count} images is not used: data.channels=[1,2,3,4] needs all"
        )
        return RGB_LAYOUT, [unused] if transparent else []
    found = "; ".join(f"{kind.channels} channels of {kind.dtype} ({path})" for kind, path in first.items())
    raise InputError(f"data: the images must be alike, got {found}", do=STORE if chosen else CHOOSE)


def display(spec_channels: int, rgb: Sequence[int] | None, channels: Sequence[int] | None) -> tuple[int, ...]:
    """The three places among an image's channels that `data.rgb` names by the file's numbers.

    Raises:
        InputError: other than three, or one that is not among the channels.
    """
    numbers = list(channels or range(1, spec_channels + 1))
    if rgb is None:
        return default_rgb(spec_channels)
    if len(rgb) != RGB_CHANNELS or any(number not in numbers for number in rgb):
        raise InputError(
            f"data.rgb must be three of the channels {numbers}, got {list(rgb)}", do="as [3,2,1]"
        )
    return tuple(numbers.index(number) for number in rgb)
