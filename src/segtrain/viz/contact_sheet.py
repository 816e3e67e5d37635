"""The worst and the best images of an evaluation on one sheet."""

from bisect import bisect, insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segtrain.contracts import IGNORE_INDEX, Colour, Sample
from segtrain.viz.drawing import IGNORE_COLOUR, colourise
from segtrain.viz.outlines import labels_in, nearest
from segtrain.viz.sheet import LINE, headed

KEPT = 4  # of the worst, and of the best
PANELS = ("image", "label", "prediction", "difference")
PANEL_WIDTH, GAP = 320, 6
WRONG = (213, 94, 0)  # vermilion, which colour-blind people see too


class SheetRow(NamedTuple):
    """The row of an image: its mean IoU, its position in the split, by which rows are sorted, its name,
    its panels, uint8 h×W×3, and the labels that they show."""

    mean_iou: float
    position: int
    name: str
    panels: np.ndarray
    labels: frozenset[int]


class BestAndWorst:
    """The rows of the KEPT images with the smallest mean IoU and of the KEPT with the largest."""

    def __init__(self, palette: Sequence[Colour]):
        self.palette = palette
        self.rows: list[SheetRow] = []

    def add(self, position: int, sample: Sample, prediction: np.ndarray, mean_iou: float) -> None:
        """Draws the image if it is among them so far.

        Args:
            position: in the split.
            prediction: class indices, uint8 H×W.
        """
        rank = bisect(self.rows, (mean_iou, position))
        if len(self.rows) < 2 * KEPT or rank != KEPT:
            drawn = panels(sample, prediction, self.palette)
            shown = frozenset(labels_in(sample.mask) + labels_in(prediction))
            insort(self.rows, SheetRow(mean_iou, position, sample.name, drawn, shown))
            self.keep(self.rows)

    def keep(self, rows: list[SheetRow]) -> None:
        """Keeps the first and the last KEPT of `rows`."""
        rows = sorted(rows, key=lambda row: row[:2])
        self.rows = rows if len(rows) <= 2 * KEPT else rows[:KEPT] + rows[-KEPT:]


def panels(sample: Sample, prediction: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Image, label, prediction and difference, side by side at one width: wrong pixels are red on the
    darkened image, ignored ones have the colour of ignored pixels."""
    height, width = sample.mask.shape[:2]
    size = (PANEL_WIDTH, max(1, round(height * PANEL_WIDTH / width)))
    image = Image.fromarray(sample.rgb).resize(size, Image.Resampling.BILINEAR)
    labels, predicted = nearest(sample.mask, size), nearest(prediction, size)
    difference = np.asarray(image.convert("L").convert("RGB")) // 2
    ignored, wrong = labels == IGNORE_INDEX, labels != predicted
    if labels.ndim == 3:  # several labels a pixel: one that is wrong is enough
        ignored, wrong = ignored.all(-1), (wrong & ~ignored).any(-1)
    difference[wrong] = WRONG
    difference[ignored] = IGNORE_COLOUR
    gap = np.full((size[1], GAP, 3), 255, np.uint8)
    columns = [np.asarray(image), colourise(labels, palette), colourise(predicted, palette), difference]
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], 1)


def contact_sheet(
    rows: list[SheetRow], class_names: Sequence[str], palette: Sequence[Colour], title: str = ""
) -> np.ndarray:
    """The worst images first, then the best (uint8 H×W×3), below the title and the colours of the
    classes that they show."""
    height = LINE + sum(len(row.panels) + LINE + GAP for row in rows)
    canvas = Image.new("RGB", (len(PANELS) * (PANEL_WIDTH + GAP) - GAP, height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(LINE - 7)
    for i, caption in enumerate(PANELS):
        draw.text((i * (PANEL_WIDTH + GAP) + 2, 1), caption, fill="black", font=font)
    y = LINE
    for i, row in enumerate(rows):
        end = "worst" if i < len(rows) / 2 else "best"
        text = f"{end}: {row.name}, mean IoU {100 * row.mean_iou:.1f} %"
        draw.text((2, y + 1), text, fill="dimgray", font=font)
        canvas.paste(Image.fromarray(row.panels), (0, y + LINE))
        y += len(row.panels) + LINE + GAP
    shown = frozenset().union(*(row.labels for row in rows))
    return headed(np.asarray(canvas), title, class_names, palette, shown, LINE)
