"""Images inside of a page: pixels as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from segtrain.contracts import Colour
from segtrain.viz.drawing import colour_table

LONGEST = 512  # pixels of the longer side, where nothing else is said


class Frame(NamedTuple):
    """One of the images that a slider goes over.

    Attributes:
        caption: its name.
        src: a data URI; "" without one.
        shared: a class of the page's styles whose background is an image that several frames show; `src`
            then lies on top of it.
    """

    caption: str
    src: str = ""
    shared: str = ""


def as_uri(data: bytes, kind: str) -> str:
    """Bytes of a file as a URI that holds them. kind: of the file, such as `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def photo_uri(image: np.ndarray, *, longest: int = LONGEST, quality: int = 85) -> str:
    """An RGB image as a JPEG of bounded size.

    Args:
        image: uint8 H×W×3.
        longest: pixels of the longer side, at most.
        quality: of the JPEG.

    Returns:
        A data URI, for `src` of an image.

    Example:
        >>> photo_uri(sample.rgb, longest=256)[:23]
        'data:image/jpeg;base64,'
    """
    small = Image.fromarray(image)
    small = small.resize(_within(small.size, longest), Image.Resampling.BOX)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality)
    return as_uri(file.getvalue(), "image/jpeg")


def labels_uri(labels: np.ndarray, palette: Sequence[Colour], *, longest: int = LONGEST) -> str:
    """A mask or a prediction, uint8 H×W of class indices, as a palette PNG of bounded size; ignored pixels
    have their own colour."""
    image = Image.fromarray(labels)
    image = image.resize(_within(image.size, longest), Image.Resampling.NEAREST)
    image.putpalette(colour_table(palette).tobytes())
    return png_uri(image)


def png_uri(image: Image.Image | np.ndarray) -> str:
    """An image of few colours as a PNG, in its own size; an array is uint8 H×W, H×W×3 or H×W×4."""
    file = io.BytesIO()
    made = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    made.save(file, "PNG", optimize=True)
    return as_uri(file.getvalue(), "image/png")


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height reduced to `longest` pixels; smaller images stay."""
    factor = min(longest / max(size), 1.0)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)
