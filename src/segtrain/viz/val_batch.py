"""Some images of the validation split with their masks and predictions on one sheet: `val_batch.jpg`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segtrain.contracts import Colour, Sample
from segtrain.viz.drawing import colourise
from segtrain.viz.outlines import labels_in, nearest
from segtrain.viz.sheet import headed

SIDE, GAP = 240, 6  # of a panel, longer side, and between panels
MARGIN = 12
LINE = 26  # the height of a line of text
BLOCKS = 2  # rows of panels beside one another: a sheet is wide, as a slide


class SheetImage(NamedTuple):
    """An image of the sheet.

    Attributes:
        name: its file's.
        panels: uint8 h×w×3 by caption, image, mask, prediction, and with a CRF what that made of it.
        labels: the class indices that mask and predictions show.
    """

    name: str
    panels: dict[str, np.ndarray]
    labels: frozenset[int]


def sheet_image(
    sample: Sample, network: np.ndarray, crf: np.ndarray | None, palette: Sequence[Colour]
) -> SheetImage:
    """Draws an image's panels.

    Args:
        sample: the image and its mask.
        network: its prediction, uint8 H×W.
        crf: the prediction after the CRF, uint8 H×W; None without one.
        palette: the RGB colour of each class, 0..255.
    """
    maps = {"mask": sample.mask, "prediction": network} | ({} if crf is None else {"with CRF": crf})
    height, width = sample.mask.shape[:2]
    factor = SIDE / max(height, width)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    small = {name: nearest(x, size) for name, x in maps.items()}
    image = np.asarray(Image.fromarray(sample.rgb).resize(size, Image.Resampling.BILINEAR))
    labels = frozenset(label for x in small.values() for label in labels_in(x))
    coloured = {name: colourise(x, palette) for name, x in small.items()}
    return SheetImage(sample.name, {"image": image} | coloured, labels)


def draw_sheet(
    images: Sequence[SheetImage], title: str, class_names: Sequence[str], palette: Sequence[Colour]
) -> np.ndarray:
    """Draws a sheet of images under their names, with a legend of the classes that they show.

    Args:
        images: at least one.
        title: of the sheet.
        class_names: of the data set.
        palette: the RGB colour of each class, 0..255.

    Returns:
        uint8 H×W×3.

    Example:
        >>> draw_sheet([sheet_image(data.val[0], labels, None, data.palette)], "", names, data.palette)
    """
    rows = -(-len(images) // BLOCKS)
    blocks = [images[i : i + rows] for i in range(0, len(images), rows)]
    captions = list(images[0].panels)
    wide = len(captions) * (SIDE + GAP) + 2 * GAP
    high = LINE + MARGIN + max(sum(map(_height, block)) for block in blocks)
    canvas = Image.new("RGB", (len(blocks) * wide + 2 * MARGIN, high), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(LINE - 7)
    for number, block in enumerate(blocks):
        left, top = MARGIN + number * wide, 0
        for i, caption in enumerate(captions):
            draw.text((left + i * (SIDE + GAP), top), caption, fill="black", font=font)
        top += LINE
        for image in block:
            draw.text((left, top), _fitting(image.name, wide - 3 * GAP, font), fill="dimgray", font=font)
            for i, panel in enumerate(image.panels.values()):
                canvas.paste(Image.fromarray(panel), (left + i * (SIDE + GAP), top + LINE))
            top += _height(image)
    shown = frozenset().union(*(image.labels for image in images))
    return headed(np.asarray(canvas), title, class_names, palette, shown, LINE)


def _height(image: SheetImage) -> int:
    return LINE + GAP + image.panels["image"].shape[0]


def _fitting(name: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The name, without its first letters where it is wider than `width` pixels."""
    if font.getlength(name) <= width:
        return name
    shorter = (f"...{name[i:]}" for i in range(max(len(name) - width // 4, 1), len(name) + 1))
    return next(text for text in shorter if font.getlength(text) <= width)
