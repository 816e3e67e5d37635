"""What stands above a sheet of images: its title, and the colours of the classes that it shows."""

import math
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segtrain.contracts import IGNORE_INDEX, Colour
from segtrain.viz.drawing import IGNORE_COLOUR

LINE = 24  # the height of a line of text, in pixels
NARROWEST = 400  # pixels: a title needs some width
SPACE = 14  # between the names of a legend


def headed(
    sheet: np.ndarray,
    title: str,
    class_names: Sequence[str],
    palette: Sequence[Colour],
    labels: Iterable[int],
    line: int = LINE,
) -> np.ndarray:
    """A sheet under its title and a legend, both in as many lines as they need.

    Args:
        sheet: uint8 H×W×3.
        title: data, model and run; empty for none.
        class_names: of the data set.
        palette: the RGB colour of each class, 0..255.
        labels: those that the legend names, IGNORE_INDEX among them.
        line: the height of a line of text, in pixels.

    Returns:
        uint8 H'×W'×3, at least NARROWEST wide.
    """
    font, width = ImageFont.load_default(line - 7), max(sheet.shape[1], NARROWEST)
    sheet = np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0)), constant_values=255)
    letters = max(int(width * len(title) / max(font.getlength(title), 1)), 8)
    texts = textwrap.wrap(title, letters)
    rows = _rows(sorted(set(labels)), class_names, font, width - 4, line)
    head = Image.new("RGB", (width, line * (len(texts) + len(rows)) + 4), "white")
    draw, y = ImageDraw.Draw(head), 2
    for text in texts:
        draw.text((4, y + line / 2), text, fill="black", font=font, anchor="lm")
        y += line
    colours = dict(enumerate(palette)) | {IGNORE_INDEX: IGNORE_COLOUR}
    for row in rows:
        for x, label, name in row:
            draw.rectangle((x, y + 4, x + line - 8, y + line - 4), tuple(colours[label]), "black")
            draw.text((x + line - 3, y + line / 2), name, fill="black", font=font, anchor="lm")
        y += line
    return np.concatenate([np.asarray(head), sheet])


def _rows(
    labels: Sequence[int],
    class_names: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
    line: int,
) -> list[list[tuple[int, int, str]]]:
    """Where each label of a legend begins in its row, the label and its name."""
    names = dict(enumerate(class_names)) | {IGNORE_INDEX: "ignored"}
    rows: list[list[tuple[int, int, str]]] = []
    x = width
    for label in labels:
        wide = line + math.ceil(font.getlength(names[label])) + SPACE
        if x + wide > width or not rows:
            rows.append([])
            x = 4
        rows[-1].append((x, label, names[label]))
        x += wide
    return rows
