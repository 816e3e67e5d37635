"""The worst and the best images of an evaluation on one sheet."""

from bisect import bisect, insort
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from segtrain.contracts import IGNORE_INDEX
from segtrain.evaluation.evaluate import Seen
from segtrain.viz.drawing import CAPTION_HEIGHT, IGNORE_COLOUR, colourise, with_legend

KEPT = 4  # of the worst, and of the best
PANELS = ("image", "label", "prediction", "difference")
PANEL_WIDTH, GAP = 320, 4
WRONG = (220, 30, 30)


class Row(NamedTuple):
    """An image's row: its mean IoU, its place in the split, by which rows are sorted, its name, and its
    panels, uint8 h×W×3."""

    mean_iou: float
    index: int
    name: str
    panels: np.ndarray


class Extremes:
    """The rows of the KEPT images with the smallest mean IoU and of the KEPT with the largest."""

    def __init__(self, palette):
        self.palette = palette
        self.rows: list[Row] = []

    def add(self, seen: Seen, mean_iou: float) -> None:
        """Draws the image if it is among them so far."""
        place = bisect(self.rows, (mean_iou, seen.index))
        if len(self.rows) < 2 * KEPT or place != KEPT:
            insort(self.rows, Row(mean_iou, seen.index, seen.sample.name, panels(seen, self.palette)))
            self.rows = ends(self.rows)


def ends(rows: list[Row]) -> list[Row]:
    """The first and the last KEPT of them."""
    return rows if len(rows) <= 2 * KEPT else rows[:KEPT] + rows[-KEPT:]


def panels(seen: Seen, palette) -> np.ndarray:
    """Image, label, prediction (after the CRF, where there is one) and difference, side by side at
    one width; wrong pixels are red on the darkened image, ignored ones have void's colour."""
    height, width = seen.sample.mask.shape
    size = (PANEL_WIDTH, max(1, round(height * PANEL_WIDTH / width)))
    image = Image.fromarray(seen.sample.image).resize(size, Image.Resampling.BILINEAR)
    final = seen.predicted if seen.refined is None else seen.refined
    labels, predicted = (
        np.asarray(Image.fromarray(x).resize(size, Image.Resampling.NEAREST))
        for x in (seen.sample.mask, final)
    )
    difference = np.asarray(image.convert("L").convert("RGB")) // 2
    difference[labels != predicted] = WRONG
    difference[labels == IGNORE_INDEX] = IGNORE_COLOUR
    gap = np.full((size[1], GAP, 3), 255, np.uint8)
    columns = [np.asarray(image), colourise(labels, palette), colourise(predicted, palette), difference]
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], 1)


def contact_sheet(rows: list[Row], class_names, palette) -> np.ndarray:
    """The worst images first, then the best (uint8 H×W×3), with the classes' colours at the right."""
    height = CAPTION_HEIGHT + sum(len(row.panels) + CAPTION_HEIGHT + GAP for row in rows)
    canvas = Image.new("RGB", (len(PANELS) * (PANEL_WIDTH + GAP) - GAP, height), "white")
    draw = ImageDraw.Draw(canvas)
    for i, caption in enumerate(PANELS):
        draw.text((i * (PANEL_WIDTH + GAP) + 2, 1), caption, fill="black")
    y = CAPTION_HEIGHT
    for i, row in enumerate(rows):
        end = "worst" if i < len(rows) / 2 else "best"
        draw.text((2, y + 1), f"{end}: {row.name}, mean IoU {100 * row.mean_iou:.1f} %", fill="black")
        canvas.paste(Image.fromarray(row.panels), (0, y + CAPTION_HEIGHT))
        y += len(row.panels) + CAPTION_HEIGHT + GAP
    return with_legend(np.asarray(canvas), class_names, palette)
