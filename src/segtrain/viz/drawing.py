"""Labels as images: for loggers, and as what `segpredict` writes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segtrain.contracts import IGNORE_INDEX, Colour, Sample
from segtrain.files import write_atomically
from segtrain.viz.outlines import borders, mixed_colours, outlined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IGNORE_COLOUR = (224, 224, 192)  # as in PASCAL VOC's palette
PANEL = 512  # the longer side of a panel of TensorBoard's images
CAPTION_HEIGHT, CAPTIONS = 14, 16  # pixels at least; of them in the shorter side of a large panel
TITLE_LETTERS = 11  # an inch
READABLE = 40  # classes of a confusion matrix with numbers
LETTERS: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "segtrain"}
NO_DATES: dict[str, Any] = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}
FORMATS = {".png": "PNG", ".jpg": "JPEG"}
LEGEND_ROWS = 24  # in the shorter side of a large image
LEAST_ROWS = 6  # of a legend beside a low image, which gets lower rows of white


def colourise(labels: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Labels (uint8 H×W) in the data set's colours (uint8 H×W×3); H×W×C of 0, 1 and 255 in the mean colour
    of a pixel's classes."""
    if labels.ndim == 3:
        return mixed_colours(labels, palette, IGNORE_COLOUR)
    return colour_table(palette)[labels]


def colour_table(palette: Sequence[Colour]) -> np.ndarray:
    """The colour of every uint8 label, uint8 256×3."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    table[IGNORE_INDEX] = IGNORE_COLOUR
    return table


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Sequence[Colour],
    share: float,
    clear: Collection[int] = (IGNORE_INDEX,),
) -> np.ndarray:
    """An image with `share` of its labels' colours in it and each region's contour in the full colour.

    Args:
        image: uint8 H×W×3.
        labels: uint8 H×W; H×W×C where a pixel may have several, which gets the outlines alone.
        palette: the RGB colour of each class.
        share: of the colours, 0 to 1.
        clear: the labels whose pixels stay the image's: ignored ones, and the background.

    Returns:
        uint8 H×W×3.
    """
    if labels.ndim == 3:
        return outlined(image, labels, palette)
    coloured = colourise(labels, palette)
    drawn = np.round((1 - share) * image + share * coloured).astype(np.uint8)
    border = borders(labels)
    drawn[border] = coloured[border]
    hidden = np.zeros(256, bool)
    hidden[list(clear)] = True
    return np.where(hidden[labels][..., None], image, drawn)


def with_legend(
    image: np.ndarray, class_names: Sequence[str], palette: Sequence[Colour], row: int | None = None
) -> np.ndarray:
    """An image with the classes' colours and names on its right (uint8 H×W'×3), in columns where they are
    more than its height takes.

    Args:
        image: uint8 H×W×3.
        class_names: the classes of the legend.
        palette: the RGB colour of each.
        row: its height in pixels; by default it grows with the image, to be read on a slide.
    """
    if not class_names:
        return image
    row = row or max(CAPTION_HEIGHT, min(image.shape[:2]) // LEGEND_ROWS)
    font = ImageFont.load_default(row - 4)
    rows = max(image.shape[0] // row, LEAST_ROWS)
    columns = [range(i, min(i + rows, len(class_names))) for i in range(0, len(class_names), rows)]
    wide = [row + 10 + max(math.ceil(font.getlength(class_names[i])) for i in column) for column in columns]
    height = max(image.shape[0], row * len(columns[0]))
    canvas = Image.new("RGB", (image.shape[1] + sum(wide), height), "white")
    canvas.paste(Image.fromarray(image))
    draw, left = ImageDraw.Draw(canvas), image.shape[1]
    for column, width in zip(columns, wide, strict=True):
        for y, i in enumerate(column):
            box = (left + 4, row * y + 2, left + row + 1, row * y + row - 2)
            draw.rectangle(box, tuple(palette[i]), "black")
            middle = row * y + row / 2
            draw.text((left + row + 5, middle), class_names[i], fill="black", font=font, anchor="lm")
        left += width
    return np.asarray(canvas)


def save_labels(labels: np.ndarray, path: Path, palette: Sequence[Colour] | None) -> None:
    """Writes labels (uint8 H×W) as a palette PNG, or without a palette a grey one, whole or not at all."""
    image = Image.fromarray(labels)
    if palette is not None:
        image.putpalette(colour_table(palette).tobytes())
    write_image(image, path)


def write_image(image: Image.Image, path: Path, **options: Any) -> None:
    """Writes an image in the format of the path's suffix (one of FORMATS), whole or not at all.

    Args:
        options: of Pillow's writer: `quality=92`.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.
    """
    write_atomically(path, lambda file: image.save(file, FORMATS[path.suffix], **options))


def write_figure(figure: Figure, path: Path, dpi: int, formats: Sequence[str] = ()) -> None:
    """Writes a matplotlib figure as PNG and, beside it, in `formats` (svg, pdf), each file whole or not at
    all. Raises SaveError."""
    for name, write in figure_files(figure, path.name, dpi, formats):
        write_atomically(path.with_name(name), write)


def figure_files(
    figure: Figure, name: str, dpi: int, formats: Sequence[str] = ()
) -> Iterator[tuple[str, Callable[[BinaryIO], None]]]:
    """Yields each of a figure's files: its name, NAME.png first, and what writes it. Letters of SVG and PDF
    can be searched; no date is in them."""
    import matplotlib

    def write(file: BinaryIO, kind: str) -> None:
        with matplotlib.rc_context(LETTERS):
            figure.savefig(file, format=kind, dpi=dpi, metadata=NO_DATES.get(kind))

    for kind in ("png", *formats):
        yield str(Path(name).with_suffix(f".{kind}")), partial(write, kind=kind)


def strip(
    sample: Sample, predicted: np.ndarray, refined: np.ndarray | None, palette: Sequence[Colour]
) -> np.ndarray:
    """Image, label, prediction and, where there is one, the CRF's, side by side (uint8 H×W×3); panels of
    more pixels than a page shows are reduced, since an event file gets them at every validation."""
    panels = {
        "image": sample.rgb,
        "label": colourise(sample.mask, palette),
        "prediction": colourise(predicted, palette),
    }
    if refined is not None:
        panels["after CRF"] = colourise(refined, palette)
    height, width = sample.mask.shape[:2]
    reduced = PANEL / max(height, width, PANEL)
    height, width = max(round(height * reduced), 1), max(round(width * reduced), 1)
    space = caption_height(height, width)
    canvas = Image.new("RGB", (len(panels) * (width + 2) - 2, height + space), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (caption, panel) in enumerate(panels.items()):
        drawn = Image.fromarray(panel)
        if reduced < 1:
            way = Image.Resampling.BOX if caption == "image" else Image.Resampling.NEAREST
            drawn = drawn.resize((width, height), way)
        canvas.paste(drawn, (i * (width + 2), space))
        write_caption(draw, (i * (width + 2) + 2, 0), caption, space)
    return np.asarray(canvas)


def caption_height(height: int, width: int) -> int:
    """Of the caption above a panel of a size, in pixels: it grows with the panel, to be read on a slide."""
    return max(CAPTION_HEIGHT, min(height, width) // CAPTIONS)


def write_caption(draw: ImageDraw.ImageDraw, corner: tuple[float, float], caption: str, height: int) -> None:
    """Writes a caption below and right of a corner, in letters that fill its height."""
    font = ImageFont.load_default(height - 4)
    draw.text((corner[0], corner[1] + height / 2), caption, fill="black", font=font, anchor="lm")


def confusion_figure(matrix: list[list[int]], class_names: Sequence[str], title: str = "") -> Figure:
    """Draws a confusion matrix, each row in percent of its class's pixels.

    The numbers are written where there are few classes: 22,500 would take half a minute.

    Args:
        matrix: C×C, the pixels of each class (row) that are predicted as each (column).
        class_names: of the C classes.
        title: data, model and run.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    pixels = np.array(matrix, float)
    percent = 100 * pixels / np.maximum(pixels.sum(1, keepdims=True), 1)
    cell = min(0.42, 18 / len(class_names))  # inches
    fontsize = min(10, 60 * cell)
    # Margins by the longest name, in inches: a layout engine would draw everything twice.
    side, names = max(cell * len(class_names), 2), 0.25 + 0.0085 * fontsize * max(map(len, class_names))
    heading = textwrap.wrap(title, max(int((names + side) * TITLE_LETTERS), 12))
    above = 0.8 + 0.18 * len(heading)
    width, height = names + side + 0.5, names + side + above
    figure = Figure(figsize=(width, height))
    left, bottom = (names + 0.3) / width, (names + 0.3) / height
    axes = figure.add_axes((left, bottom, side / width, side / height))
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=90, fontsize=fontsize)
    axes.set_yticks(ticks, class_names, fontsize=fontsize)
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_title("\n".join([*heading, "% of the class's pixels"]), y=1 + 0.1 / side, fontsize=10)
    axes.xaxis.set_label_coords(0.5, -names / side)
    axes.yaxis.set_label_coords(-names / side, 0.5)
    if len(class_names) <= READABLE:
        for i, j in zip(*np.nonzero(percent >= 0.5), strict=True):
            colour = "white" if percent[i, j] > 60 else "black"
            axes.text(j, i, f"{percent[i, j]:.0f}", ha="center", va="center", color=colour, size=9)
    return figure


def figure_image(figure: Figure, dpi: int = 80) -> np.ndarray:
    """A matplotlib figure as pixels, uint8 H×W×3."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def trimap_figure(curves: dict[str, dict[str, float | None]], title: str = "") -> Figure:
    """A matplotlib figure of the mean IoU near borders: of each name, the width to the metric."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(textwrap.fill(title, 6 * TITLE_LETTERS), fontsize=10)
    widths = [int(width) for width in next(iter(curves.values()))]
    for name, curve in curves.items():
        values = [np.nan if value is None else 100 * value for value in curve.values()]
        axes.plot(widths, values, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.set(xlabel="pixels on either side of a border", ylabel="mean IoU %")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
