"""Masks in image files: the numbers that are stored, or the labels of their colours."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from segtrain.contracts import IGNORE_INDEX, Colour
from segtrain.data.io.opening import as_rgb, load_numpy, open_image, orientation_of
from segtrain.errors import MaskError

INDEX_MODES = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I")  # one number a pixel, and never a colour
ARRAYS = (".npy", ".npz")
AS_NUMBERS = "store masks as grey or palette PNG"


def read_mask(path: Path) -> np.ndarray:
    """The numbers of a mask, H×W, upright as its own EXIF orientation says.

    Nothing is converted: a palette image's `.convert("L")` would turn class 3 into 113. RGB whose three
    channels are equal everywhere is grey. Floating-point numbers are taken where all are whole.

    Args:
        path: an index or palette image with 1 to 32 bits, or a grey one in any mode; or H×W numbers in .npy
            or .npz (the only array, or the one named mask).

    Returns:
        Integers in the machine's byte order.

    Raises:
        MaskError: it has colours, numbers with a fraction, or differs in its alpha channel alone.
        InputError: it cannot be read.
    """
    if path.suffix.lower() in ARRAYS:
        return _read_array(path)
    return numbers_of(open_upright(path), path)


def _read_array(path: Path) -> np.ndarray:
    values = load_numpy(path, "mask")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "buif":
        what = f"{path}: a mask must be H×W whole numbers, got {values.shape} of {values.dtype}"
        raise MaskError(what, do="store the class indices so")
    if values.dtype.kind == "f":
        return _whole(values, path)
    return values.astype(np.uint8 if values.dtype == bool else values.dtype.newbyteorder("="), copy=False)


def numbers_of(mask: Image.Image, path: Path) -> np.ndarray:
    """The numbers of a mask that was opened; `path` names it. As `read_mask`."""
    if mask.mode in INDEX_MODES:
        numbers = np.asarray(mask)
        return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    if mask.mode == "F":
        return _whole(np.asarray(mask), path)
    grey = grey_channel(mask, path)
    if grey is None:
        raise MaskError(
            f"{path}: the mask has colours (mode {mask.mode}), not one class index a pixel",
            do=f"{AS_NUMBERS}, or name their colours in data.label_map of data=folder",
        )
    return grey


def read_colours(path: Path, labels: Mapping[Colour, int], *, snap: bool = False) -> np.ndarray:
    """The label of each pixel's RGB colour, H×W; a palette image's colours are looked up.

    Args:
        path: an image in any mode with colours.
        labels: of the colours.
        snap: a colour without a label takes that of the nearest one in RGB that has one.

    Returns:
        uint8 labels.

    Raises:
        MaskError: it holds numbers, a colour without a label, or differs in its alpha channel alone.
        InputError: it cannot be read.
    """
    mask = open_upright(path)
    if mask.mode[0] in "IF":
        raise MaskError(f"{path}: the mask has numbers, not colours", do="map numbers in data.label_map")
    grey_channel(mask, path)  # refuses what differs in alpha alone
    red, green, blue = (np.asarray(channel, np.int32) for channel in as_rgb(mask, path).split())
    colours = red << 16 | green << 8 | blue
    known = np.array([r << 16 | g << 8 | b for r, g, b in sorted(labels)])
    table = np.array([labels[colour] for colour in sorted(labels)], np.uint8)
    indices = np.searchsorted(known, colours).clip(max=len(known) - 1)
    others = known[indices] != colours
    if others.any():
        if not snap:
            raise _without_label(path, colours[others])
        values, inverse = np.unique(colours[others], return_inverse=True)
        indices[others] = _nearest(_channels(values), _channels(known))[inverse.ravel()]
    return table[indices]


def snap_numbers(mask: np.ndarray, numbers: Iterable[int]) -> np.ndarray:
    """Each number of a mask replaced by the nearest of `numbers`, of two equally near the smaller."""
    known = np.array(sorted(numbers))
    values, inverse = np.unique(mask, return_inverse=True)
    distance = np.abs(values[:, None].astype(np.int64) - known)
    return known[distance.argmin(1)][inverse.reshape(mask.shape)]


def open_upright(path: Path) -> Image.Image:
    """A mask's image, turned as its own EXIF orientation says. Raises InputError."""
    mask = open_image(path, single=True)
    return mask if orientation_of(mask) == 1 else ImageOps.exif_transpose(mask)


def grey_channel(image: Image.Image, path: Path) -> np.ndarray | None:
    """The uint8 H×W grey of an image with channels that are equal everywhere; None where they are not.

    Raises:
        MaskError: the colour is one everywhere, and the alpha channel is not.
    """
    if image.mode == "PA" or (image.mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
    channels = np.asarray(image)
    if image.mode not in ("LA", "RGB", "RGBA") or channels.ndim != 3:
        return None
    colours = channels if image.mode == "RGB" else channels[..., :-1]
    if image.mode != "RGB" and np.ptp(channels[..., -1]) and not np.ptp(colours, axis=(0, 1)).any():
        raise MaskError(
            f"{path}: only the alpha channel differs, the colour is one everywhere",
            do=f"{AS_NUMBERS}, made from the alpha channel",
        )
    return colours[..., 0] if (colours == colours[..., :1]).all() else None


def _whole(numbers: np.ndarray, path: Path) -> np.ndarray:
    """Floating-point numbers as integers. Raises MaskError where one has a fraction or is none."""
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        what = f"{path}: the mask holds floating-point numbers that are not whole"
        raise MaskError(what, do=AS_NUMBERS)
    return numbers.astype(np.int64)


def _without_label(path: Path, colours: np.ndarray) -> MaskError:
    """The error that names the first of some colours, packed in integers."""
    colour = ",".join(map(str, _channels(colours[:1])[0]))
    several = len(np.unique(colours))
    more = f", and {several - 1} more colours have none" if several > 1 else ""
    return MaskError(
        f"{path}: the colour {colour} ({np.sum(colours == colours[0])} pixels) has no label{more}",
        do=f'add "{colour}": LABEL to data.label_map, {IGNORE_INDEX} to ignore a pixel, or set'
        " data.snap=true for the nearest colour",
    )


def _channels(packed: np.ndarray) -> np.ndarray:
    """Packed colours, N, as N×3."""
    return np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1)


def _nearest(colours: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The index in `known` (K×3) that is nearest to each of `colours` (N×3)."""
    distance = np.square(colours[:, None].astype(np.int64) - known).sum(2)
    return distance.argmin(1)
