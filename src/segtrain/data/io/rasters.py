"""Image files to arrays of the numbers that are stored: one reader for each kind, chosen by the suffix.

Pillow reads common images, OpenCV colours with 16 bits a channel, which Pillow would cut to 8, tifffile
TIFF of any channels and numbers, NumPy its own files; rasterio and nibabel are extras.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps

from segtrain.data.io.opening import ANIMATED, FORMATS, check_regular, check_single, load_numpy, reading
from segtrain.errors import InputError, how_to_install
from segtrain.input_spec import DTYPES, MOST_CHANNELS

BY_PILLOW = ("PALETTE", "SEPARATED", "YCBCR", "CIELAB")  # TIFFs whose numbers are no channels yet
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # what such files begin with; BigTIFF's have +
ALPHA = {1, 2}  # of TIFF's extra samples: premultiplied or not
NODATA_TAG = 42113  # of GDAL, in a GeoTIFF
WITH_ALPHA = ("LA", "PA", "La", "RGBA", "RGBa")
STORE_NUMBERS = f"store {' or '.join(DTYPES)}"


class Raster(NamedTuple):
    """What a file holds.

    Attributes:
        values: H×W×C, as stored: uint8, uint16, int16 or float32.
        invalid: bool H×W, pixels without data; None where every pixel has some.
        alpha: the last channel is how opaque a pixel is.
        pages: that became the channels; 1 where the channels lie in one page.
    """

    values: np.ndarray
    invalid: np.ndarray | None = None
    alpha: bool = False
    pages: int = 1

    def words(self) -> str:
        """What there is, for messages: `5 channels of uint8, its 5 pages`."""
        channels = self.values.shape[2]
        pages = f", its {self.pages} pages" if self.pages > 1 else ""
        return f"{channels} channel{'s' * (channels > 1)} of {self.values.dtype}{pages}"


def read_raster(path: Path) -> Raster:
    """The numbers that a file stores, by the reader of its suffix; Pillow for one that is unknown.

    Raises:
        InputError: the file is missing or damaged, or holds no image of 1 to 64 channels.
    """
    check_regular(path)
    name = path.name.lower()
    if name.endswith((".tif", ".tiff")) and _first_bytes(path) not in TIFF:
        return _read_pillow(path)  # an image under another's name
    suffix = next((s for s in READERS if name.endswith(s)), "")
    return READERS.get(suffix, _read_pillow)(path)


def _first_bytes(path: Path) -> bytes:
    with reading(path), path.open("rb") as file:
        return file.read(4)


def _read_pillow(path: Path) -> Raster:
    """An upright image: a camera's EXIF orientation is applied."""
    check_regular(path)
    with reading(path), path.open("rb") as file:
        opened = Image.open(file, formats=FORMATS)
        if opened.format in ANIMATED:
            check_single(opened, path)
        deep = opened.mode in ("RGB", "RGBA", "LA") and more_than_8_bits(opened)
        opened.load()
        if deep:
            return _read_deep(path)
        ImageOps.exif_transpose(opened, in_place=True)
        image: Image.Image = opened
        if image.mode in ("F",) or image.mode.startswith("I"):
            return Raster(known_numbers(np.asarray(image)[..., None], path))
        if image.mode in WITH_ALPHA or "transparency" in image.info:
            grey = image.mode in ("LA", "La")
            return Raster(np.asarray(image.convert("LA" if grey else "RGBA")), alpha=True)
        grey = image.mode in ("1", "L")
        plain = image.mode in ("L", "RGB")
        values = np.asarray(image if plain else image.convert("L" if grey else "RGB"))
        return Raster(values[..., None] if grey else values)


def more_than_8_bits(image: Image.Image) -> bool:
    """Whether Pillow would cut the colours that a file stores to 8 bits."""
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    deep_ppm = (a for a in arguments if image.format == "PPM" and isinstance(a, tuple))
    return ";16" in str(arguments) or any(isinstance(a[-1], int) and a[-1] > 255 for a in deep_ppm)


def _read_deep(path: Path) -> Raster:
    """Colours with 16 bits a channel, by OpenCV."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise InputError(f"{path}: cannot be read with 16 bits a channel", do="store it as TIFF or PNG")
    bgr = pixels[..., :3]
    grey = pixels.shape[2] == 4 and bool((bgr == bgr[..., :1]).all())  # of grey with alpha
    colours = bgr[..., :1] if grey else bgr[..., ::-1]
    if pixels.shape[2] == 4:
        return Raster(np.dstack([colours, pixels[..., 3]]), alpha=True)
    return Raster(np.ascontiguousarray(colours))


def _read_tiff(path: Path) -> Raster:
    """A TIFF: one page of any channels, or several pages of one channel each; tiled ones and GeoTIFF too."""
    import tifffile  # takes a while to import, and few data sets need it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong it raises as well
    with reading(path), tifffile.TiffFile(path) as file:
        page, series = file.pages.first, file.series[0]
        kind = page.photometric.name
        plain = page.dtype == np.uint8 and page.samplesperpixel == (3 if kind == "RGB" else 1)
        if len(file.pages) == 1 and (kind in BY_PILLOW or page.bitspersample == 1 or plain):
            return _read_pillow(path)
        values, alpha = _channels_last(series, path), ALPHA & set(page.extrasamples or ())
        if kind == "MINISWHITE":
            values = np.iinfo(values.dtype).max - values if values.dtype.kind == "u" else -values
        nodata = page.tags.get(NODATA_TAG)
        number = None if nodata is None else float(str(nodata.value).strip("\0 ") or "nan")
        return without_data(known_numbers(values, path), number)._replace(
            alpha=bool(alpha), pages=len(file.pages)
        )


def _channels_last(series: Any, path: Path) -> np.ndarray:
    """H×W×C of tifffile's series."""
    try:
        values, axes = series.asarray(), series.axes
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        values, axes = _few_channels(path), "YXS"
        if values is None:
            raise InputError(
                f"{path}: its compression needs the package imagecodecs", do=how_to_install("geo")
            ) from error
    keep = [
        i for i, (axis, size) in enumerate(zip(axes, values.shape, strict=True)) if size > 1 or axis in "YX"
    ]
    axes, values = "".join(axes[i] for i in keep), values.reshape([values.shape[i] for i in keep])
    others = [i for i, axis in enumerate(axes) if axis not in "YX"]
    if len(others) > 1:
        raise InputError(
            f"{path}: {' × '.join(map(str, values.shape))} numbers in axes {axes}: pages of several channels",
            do="store one page a file",
        )
    order = [axes.index("Y"), axes.index("X"), *others]
    values = values.transpose(order)
    return values if others else values[..., None]


def _few_channels(path: Path) -> np.ndarray | None:
    """H×W×C by OpenCV, which decompresses TIFFs of one page and up to four channels; None of others."""
    if cv2.imcount(str(path)) != 1:
        return None
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim == 2:
        return None if pixels is None else pixels[..., None]
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])


def _read_numpy(path: Path) -> Raster:
    loaded = load_numpy(path, "image")
    values = loaded[..., None] if loaded.ndim == 2 else loaded
    if values.ndim == 3 and values.shape[0] <= MOST_CHANNELS < min(values.shape[1:]):
        values = np.ascontiguousarray(values.transpose(1, 2, 0))  # C×H×W
    return without_data(known_numbers(values, path), None)


def _read_rasterio(path: Path) -> Raster:
    """What GDAL reads."""
    try:
        import rasterio
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs the package rasterio",
            do=how_to_install("geo"),
        ) from error
    with reading(path), rasterio.open(path) as source:
        return without_data(known_numbers(source.read().transpose(1, 2, 0), path), source.nodata)


def _read_nifti(path: Path) -> Raster:
    """A slice in a NIfTI file; a volume is refused, since its slices are no channels."""
    try:
        import nibabel
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs the package nibabel",
            do=how_to_install("medical"),
        ) from error
    with reading(path):
        image: Any = nibabel.load(path)
        values = np.squeeze(np.asanyarray(image.dataobj))
    if values.ndim != 2:
        shape = "×".join(map(str, values.shape))
        raise InputError(f"{path}: must be one slice, got a volume of {shape}", do="store a file a slice")
    return without_data(known_numbers(values[..., None], path), None)


def known_numbers(values: np.ndarray, path: Path) -> np.ndarray:
    """H×W×C of a dtype that images may have; wider ones become it where no number changes.

    Raises:
        InputError: another shape, or numbers that none of the dtypes holds.
    """
    if values.ndim != 3 or not 1 <= values.shape[2] <= MOST_CHANNELS or not values.size:
        raise InputError(
            f"{path}: an image must be H×W×C with 1 to {MOST_CHANNELS} channels, got {values.shape}",
            do="store it so",
        )
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if str(values.dtype) in DTYPES:
        return values
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        for dtype in (np.uint16, np.int16):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return values.astype(dtype)
        if max(-low, high) >= 1 << 24:
            raise InputError(f"{path}: {low} to {high} are no 16-bit pixels", do=STORE_NUMBERS)
    elif values.dtype.kind != "f":
        raise InputError(f"{path}: its numbers are {values.dtype}", do=STORE_NUMBERS)
    return values.astype(np.float32)


def without_data(values: np.ndarray, nodata: float | None) -> Raster:
    """Finds the pixels without data, those with NaN, infinity or `nodata` in a channel, and gives them the
    mean of their channel."""
    if values.dtype.kind != "f" and (nodata is None or np.isnan(nodata)):
        return Raster(values)
    missing: np.ndarray = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if nodata is not None and not np.isnan(nodata):
        missing |= values == nodata
    invalid: np.ndarray = np.any(missing, axis=2)
    if not invalid.any():
        return Raster(values)
    values = values.copy()
    for channel in range(values.shape[2]):
        here = values[..., channel]
        good = here[~missing[..., channel]]
        here[missing[..., channel]] = good.mean() if good.size else 0
    return Raster(values, invalid)


cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # its warnings name no file

READERS: dict[str, Callable[[Path], Raster]] = {
    **dict.fromkeys((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp"), _read_pillow),
    **dict.fromkeys((".tif", ".tiff"), _read_tiff),
    **dict.fromkeys((".npy", ".npz"), _read_numpy),
    **dict.fromkeys((".jp2", ".img", ".vrt"), _read_rasterio),
    **dict.fromkeys((".nii", ".nii.gz"), _read_nifti),
}
