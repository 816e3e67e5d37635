"""What the images of a data set in files are: found once, by the first of them and the user's keys."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from segtrain.contracts import InputHints
from segtrain.data.io.images import (
    RGB_LAYOUT,
    WHITE_16,
    ImageLayout,
    ImageReader,
    check_channels,
    display,
    find_layout,
)
from segtrain.data.io.rasters import Raster, read_raster
from segtrain.errors import InputError

LOOKED_AT = 8  # images, for their channels


class ImageFiles:
    """The keys of a data set that say what its images are.

    Args:
        channels: of the images, counted from 1, in the order that the network gets; None: all.
        bands: suffixes of the files that hold an image's channels; None: one file an image.
        rgb: the three channels that are shown and given to the CRF; None: the first three.
        range: [lowest, highest] number; None: 0 to 255 of 8 bits, else found by statistics.
        white: short for range=[0,white] of 16-bit grey images.
        read: reads a file, or enough of it to see what it is.

    Raises:
        InputError: an argument that does not fit.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] | None = None,
        bands: Sequence[str] | None = None,
        rgb: Sequence[int] | None = None,
        range: Sequence[float] | None = None,
        white: int | None = None,
        read: Callable[[Path], Raster] = read_raster,
    ):
        if white is not None and not 1 <= white <= WHITE_16:
            raise InputError(f"data.white must be 1 to {WHITE_16}, got {white}", do="4095 for 12 bits")
        if range is not None and (len(range) != 2 or not range[0] < range[1]):
            raise InputError(f"data.range must be [LOWEST,HIGHEST], got {list(range)}", do="as [0,4095]")
        check_channels(channels, "data.channels")
        self.channels, self.bands, self.rgb, self.range, self.white = channels, bands or (), rgb, range, white
        self.paths: Sequence[Path] = ()  # of the training split
        self._read = read

    @cached_property
    def _found(self) -> tuple[ImageLayout, list[str]]:
        """The layout, and what is not used of the images."""
        reader, rasters = ImageReader(channels=self.channels, bands=self.bands), []
        for path in self.paths[:: max(len(self.paths) // LOOKED_AT, 1)]:
            try:
                rasters.append((path, reader.raster(path, self._read)))
            except InputError:  # which is said when the image's turn comes
                continue
        return find_layout(rasters, chosen=bool(self.channels or self.bands))

    @cached_property
    def reader(self) -> ImageReader:
        """Reads the images. Raises InputError where the first ones have no layout in common."""
        return ImageReader(self._found[0], channels=self.channels, bands=self.bands, white=self.white)

    def hints(self) -> InputHints:
        """What is known of the images' numbers. Raises InputError where `rgb` does not fit."""
        layout, unused = self._found
        white = [0, self.white] if self.white and layout != RGB_LAYOUT else None
        return InputHints(self.range or white, display(layout.channels, self.rgb, self.channels), unused)
