"""Images of any size, window by window, and where they lie on the ground: what rasterio (GDAL) reads."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segtrain.data.crops.boxes import Box
from segtrain.data.io.opening import FORMATS, check_regular, reading
from segtrain.data.io.rasters import TIFF, Raster
from segtrain.errors import InputError, how_to_install
from segtrain.input_spec import DTYPES

BY_GDAL = (".jp2", ".img", ".vrt")  # whose size nothing else reads
TAGS = (33550, 33922, 34264, 34735)  # of GeoTIFF: scale, tie points, transformation, keys
CACHE = "256"  # MB of decoded blocks; GDAL itself would take 5 % of the memory
KEPT_OPEN = 16  # files a thread


class Scene(NamedTuple):
    """What a file says of itself.

    Attributes:
        height, width: in pixels.
        channels: how many.
        dtype: of the numbers, as stored.
        blocks: height and width of what is read and decompressed together.
        ground: its place on the ground, as rasterio's keys: crs, transform, gcps, rpcs; those that it has.
    """

    height: int
    width: int
    channels: int
    dtype: str
    blocks: tuple[int, int]
    ground: dict[str, Any]


def is_scene(path: Path, large_above: int | None) -> bool:
    """Whether an image is to be read in windows: it has more than `large_above` pixels, or a place on the
    ground, which its labels get too. What cannot be read is none: it is said when its turn comes."""
    suffix = path.suffix.lower()
    try:
        if suffix in BY_GDAL:
            scene = scene_of(path)
            return bool(scene.ground) or _is_large(scene.height * scene.width, large_above)
        with path.open("rb") as file:
            first = file.read(4)
        if first in TIFF:
            return _is_scene_tiff(path, large_above)
        if suffix in (".npy", ".npz", ".nii", ".gz"):
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return _is_large(image.width * image.height, large_above)
    except Image.DecompressionBombError:  # Pillow's own limit: it opens no such file
        return large_above is not None
    except Exception:
        return False


def _is_large(pixels: int, large_above: int | None) -> bool:
    return large_above is not None and pixels > large_above


def _is_scene_tiff(path: Path, large_above: int | None) -> bool:
    import tifffile  # takes a while to import

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        on_the_ground = any(tag in page.tags for tag in TAGS)
        return on_the_ground or _is_large(page.imagewidth * page.imagelength, large_above)


def scene_of(path: Path) -> Scene:
    """What a file says of itself. Raises InputError: it cannot be read, or rasterio is missing."""
    source = opened(path)
    with reading(path):
        ground: dict[str, Any] = {}
        if not source.transform.is_identity:
            ground["transform"] = source.transform
        if source.crs:
            ground["crs"] = source.crs
        gcps, crs = source.gcps
        if gcps:
            ground |= {"gcps": gcps, "crs": crs}
        if source.rpcs:
            ground["rpcs"] = source.rpcs
        dtypes = {str(dtype) for dtype in source.dtypes}
        channels = 3 if _palette(source) else source.count
        dtype = dtypes.pop() if len(dtypes) == 1 else "mixed"
        return Scene(source.height, source.width, channels, dtype, source.block_shapes[0], ground)


def read_window(path: Path, box: Box) -> Raster:
    """The pixels of a window that lies within the image, as stored; those without data are named, and not
    replaced: where the file's nodata, its mask or its alpha channel says so, or a number is not finite.

    Raises:
        InputError: as `scene_of`.

    Example:
        >>> read_window(Path("scene.tif"), Box(x=512, y=0, width=256, height=256)).values.shape
        (256, 256, 4)
    """
    source = opened(path)
    with reading(path):
        window = ((box.y, box.y + box.height), (box.x, box.x + box.width))
        values = source.read(window=window)
        invalid = _without_data(source, values, window)
        if _palette(source):
            table = np.zeros((256, 3), np.uint8)
            for index, colour in source.colormap(1).items():
                table[index] = colour[:3]
            return Raster(table[values[0]], invalid)
        alpha = _has_alpha(source)
        if str(values.dtype) not in DTYPES:
            values = values.astype(np.int16 if values.dtype == np.int8 else np.float32)
        return Raster(np.ascontiguousarray(values.transpose(1, 2, 0)), invalid, alpha)


def read_numbers(path: Path, box: Box) -> tuple[np.ndarray, float | None]:
    """The numbers of a mask's window, h×w, and which of them the file has for pixels without data.

    Raises:
        InputError: as `scene_of`, or the mask has more than one channel.
    """
    source = opened(path)
    if source.count != 1:
        raise InputError(
            f"{path}: a mask has one number a pixel, got {source.count} channels", do="store indices"
        )
    with reading(path):
        return source.read(1, window=((box.y, box.y + box.height), (box.x, box.x + box.width))), source.nodata


def mean_filled(values: np.ndarray, invalid: np.ndarray | None) -> np.ndarray:
    """An image H×W×C whose pixels without data (bool H×W) have the mean of all others, 0 without others."""
    if invalid is None:
        return values
    good = values[~invalid]
    values = values.copy()
    values[invalid] = good.mean(0, dtype=np.float64).astype(values.dtype) if good.size else 0
    return values


def _without_data(source: Any, values: np.ndarray, window: Any) -> np.ndarray | None:
    """bool h×w of values C×h×w; None where every pixel has data."""
    from rasterio.enums import MaskFlags

    missing = np.zeros(values.shape[1:], bool)
    for channel, nodata in zip(values, source.nodatavals, strict=True):
        if channel.dtype.kind == "f":
            missing |= ~np.isfinite(channel)
        if nodata is not None and not np.isnan(nodata):
            missing |= channel == nodata
    if _has_alpha(source):
        missing |= values[-1] == 0
    elif MaskFlags.per_dataset in source.mask_flag_enums[0]:
        missing |= source.dataset_mask(window=window) == 0
    return missing if missing.any() else None


def _palette(source: Any) -> bool:
    from rasterio.enums import ColorInterp

    return source.count == 1 and source.dtypes[0] == "uint8" and source.colorinterp[0] == ColorInterp.palette


def _has_alpha(source: Any) -> bool:
    from rasterio.enums import ColorInterp

    return source.count in (2, 4) and source.colorinterp[-1] == ColorInterp.alpha


_files = threading.local()  # GDAL's files are of one thread of one process


def opened(path: Path) -> Any:
    """rasterio's dataset of a file, which stays open for the next window.

    Raises:
        InputError: as `scene_of`, or the file's EXIF orientation turns it, which GDAL does not do.
    """
    rasterio = import_rasterio(path)
    check_regular(path)
    if getattr(_files, "process", None) != os.getpid():
        _files.inherited = getattr(
            _files, "open", None
        )  # of the process that forked this one: not to be closed
        _files.process, _files.open = os.getpid(), {}
    status = path.stat()
    key = str(path.absolute()), status.st_ino, status.st_size, status.st_mtime_ns
    if key not in _files.open:
        while len(_files.open) >= KEPT_OPEN:
            _files.open.pop(next(iter(_files.open))).close()
        with reading(path):
            source = rasterio.open(path)
            if source.tags().get("EXIF_Orientation", "1") not in ("0", "1"):
                raise InputError(f"{path}: its EXIF orientation turns it", do="store it upright")
            _files.open[key] = source
    return _files.open[key]


def import_rasterio(path: Path) -> Any:
    """The package rasterio; `path` is what needs it. Raises InputError where it is not installed."""
    os.environ.setdefault("GDAL_CACHEMAX", CACHE)
    try:
        import rasterio
    except ImportError as error:
        raise InputError(
            f"{path}: reading it in windows needs the package rasterio", do=how_to_install("geo")
        ) from error
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # what is wrong it raises as well
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio
