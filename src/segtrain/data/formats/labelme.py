"""LabelMe's JSON files, one an image (github.com/wkentaro/labelme).

Polygons, rectangles and circles are drawn by Pillow with their outline, masks are pasted, as LabelMe's own
`shape_to_mask` does.
"""

from __future__ import annotations

import base64
import io
from math import dist
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from segtrain.data.formats.finding import Source, missing, read_json, unique_names
from segtrain.data.formats.polygons import fill_with_outline
from segtrain.data.formats.regions import (
    DAMAGED,
    Annotations,
    Item,
    Painted,
    Problem,
    near_points,
    ring_problems,
)
from segtrain.data.io.listing import visible
from segtrain.errors import shorten


class LabelMe:
    """Reads NAME.json for every image. Categories are the labels that occur, in the order of the alphabet."""

    def __call__(self, source: Source) -> Annotations:
        index, problems = source.image_index(), list[Problem]()
        splits: list[list[Item]] = []
        files: list[Path] = []
        folders = [source.place(source.annotations, ".")]
        if source.val_annotations is not None:
            folders.append(source.place(source.val_annotations))
        for folder in folders:
            read = [
                (path, content)
                for path in visible(folder, "**/*.json")
                if _is_one(content := read_json(path))
            ]
            files += [path for path, _ in read]
            found = [(p, c, index.find(str(c["imagePath"]), p.parent)) for p, c in read]
            names = unique_names([image for _, _, image in found if image is not None], index.folder)
            items = []
            for path, content, image in found:
                if image is None:
                    problems.append(missing(f"{path.name}: {content['imagePath']}", index))
                else:
                    try:
                        items.append(_item(path, content, image, names[image], problems))
                    except DAMAGED as error:
                        what = f"not LabelMe's ({type(error).__name__}: {shorten(error)})"
                        problems.append(Problem("form", str(path), what))
            splits.append(items)
        labels = sorted({r.category for items in splits for i in items for r in i.regions if r.category})
        val = splits[1] if len(splits) > 1 else None
        return Annotations(dict.fromkeys(labels), splits[0], val, problems, files)


def _is_one(content: Any) -> bool:
    return isinstance(content, dict) and "shapes" in content and bool(content.get("imagePath"))


def _item(path: Path, content: dict[str, Any], image: Path, name: str, problems: list[Problem]) -> Item:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    size = (int(height), int(width)) if height and width else None
    regions = []
    for number, shape in enumerate(content["shapes"]):
        where = f"{path}: shape {number}"
        kind, points = shape.get("shape_type") or "polygon", shape.get("points") or []
        outline = Outline(str(shape.get("label")), kind, points, shape.get("mask"))
        if kind == "polygon":
            flat = [value for point in points for value in point]
            wrong = ring_problems(where, flat, *(size[::-1] if size else (np.inf, np.inf)))
        elif kind not in ("rectangle", "circle", "mask"):
            wrong = [Problem("empty", where, f"a {kind} has no area")]
        else:
            wrong = [] if len(points) == 2 else [Problem("empty", where, f"a {kind} of {len(points)} points")]
        problems += wrong
        if not any(problem.kind == "empty" for problem in wrong):
            regions.append(outline)
    return Item(name, image, regions, size)


class Outline(NamedTuple):
    """A shape of LabelMe's.

    Attributes:
        category: its label.
        kind: polygon, rectangle, circle or mask.
        points: [x, y] each; of a circle its centre and one on it.
        mask: of a mask: a PNG of the rectangle between the points, in base64.
    """

    category: str
    kind: str
    points: list[list[float]]
    mask: str | None

    def draw(self, height: int, width: int, /) -> np.ndarray:
        points = near_points(self.points)
        if self.kind == "polygon":
            return fill_with_outline(points, height, width)
        (x0, y0), (x1, y1) = points.tolist()
        if self.kind == "mask":
            left, top = round(min(x0, x1)), round(min(y0, y1))
            return Painted(self.category, lambda: _png(self.mask), left, top).draw(height, width)
        image = Image.new("1", (width, height))
        draw = ImageDraw.Draw(image)
        if self.kind == "circle":
            radius = dist((x0, y0), (x1, y1))
            draw.ellipse([x0 - radius, y0 - radius, x0 + radius, y0 + radius], fill=1, outline=1)
        else:
            draw.rectangle([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], fill=1, outline=1)
        return np.array(image)


def _png(text: str | None) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text or "")), formats=["PNG"]) as image:
        return np.asarray(image.convert("L")) > 0
