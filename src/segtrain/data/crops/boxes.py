"""Boxes in pixels: windows of several scales, and proposals that the user computed, from a CSV."""

import csv
import io
import math
from itertools import product
from typing import NamedTuple

from segtrain.errors import InputError
from segtrain.files import content_of, user_path

COLUMNS = ("name", "x", "y", "width", "height", "score")
SCALES = (1.0, 0.75, 0.5)  # shorter sides of the windows over the image's: 40 windows on VOC's 500×375
ASPECTS = ((1, 1), (2, 1), (1, 2))  # height to width


class Box(NamedTuple):
    """The pixels x .. x+width-1 of the rows y .. y+height-1; it may leave the image."""

    x: int
    y: int
    width: int
    height: int

    def inside(self, height: int, width: int) -> "Box":
        """What of it lies inside an image; of width or height 0 where nothing does."""
        left, top = min(max(self.x, 0), width), min(max(self.y, 0), height)
        right = min(max(self.x + self.width, left), width)
        bottom = min(max(self.y + self.height, top), height)
        return Box(left, top, right - left, bottom - top)

    def extended(self, context: float) -> "Box":
        """The box with both sides `context` (at least 1) times as long around the same centre."""
        right, down = (round((context - 1) / 2 * side) for side in (self.width, self.height))
        return Box(self.x - right, self.y - down, self.width + 2 * right, self.height + 2 * down)


def grid_boxes(height: int, width: int, scales: tuple[float, ...] = SCALES) -> list[Box]:
    """Windows of several scales and aspects that cover an image, the largest first.

    Each scale has squares and windows twice as high or wide, cut to the image's own sides. They
    are spread evenly and overlap by at least half.
    """
    boxes = set()
    for scale, (high, wide) in product(scales, ASPECTS):
        side = scale * min(height, width)
        h, w = (min(max(round(side * a), 1), whole) for a, whole in ((high, height), (wide, width)))
        boxes |= {Box(x, y, w, h) for y in _starts(height, h) for x in _starts(width, w)}
    return sorted(boxes, key=lambda box: (-box.width * box.height, -box.width, box.y, box.x))


def _starts(whole: int, part: int) -> list[int]:
    """Where intervals of length `part` start that cover `whole` and overlap by at least half."""
    steps = math.ceil(2 * (whole - part) / part)
    return [round(i * (whole - part) / steps) for i in range(steps)] + [whole - part]


def read_boxes(path: str) -> dict[str, list[Box]]:
    """Each image's boxes, the best first, from a CSV with the columns `name,x,y,width,height,score`.

    Lines may come in any order, with further columns; x, y, width and height are pixels (rounded).
    Names that no split has are no mistake: one file may serve several splits.

    Raises:
        InputError: no such file, a column is missing, or a value is not what it should be; file
            and line are named.
    """
    scored: dict[str, list[tuple[float, Box]]] = {}
    try:
        text = content_of(user_path(path)).decode("utf-8-sig")
        lines = csv.DictReader(io.StringIO(text, newline=""))
        missing = [column for column in COLUMNS if column not in (lines.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {missing[0]}", do=f"begin the file with {','.join(COLUMNS)}")
        for line in lines:
            score, box = _parse(line, f"{path}, line {lines.line_num}")
            scored.setdefault(line["name"], []).append((score, box))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})", do="give a CSV of boxes") from error
    return {
        name: [box for _, box in sorted(found, key=lambda pair: -pair[0])] for name, found in scored.items()
    }


def _parse(line: dict[str, str | None], place: str) -> tuple[float, Box]:
    if not line["name"]:
        raise InputError(f"{place}: name is empty", do="give the name of an image")
    values = []
    for column in COLUMNS[1:]:
        try:
            value = float(line[column] or "")
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{place}: {column} must be a finite number, got {line[column] or ''!r}",
                do="correct the line",
            )
        values.append(value)
    *sides, score = values
    box = Box(*map(round, sides))
    if box.width < 1 or box.height < 1:
        raise InputError(f"{place}: the box is {box.width}×{box.height} pixels", do="give at least 1×1")
    return score, box
