"""Label Studio's JSON export: polygons, boxes and brush strokes (labelstud.io, "Export annotations").

Polygons, boxes and ellipses are in percent of the image and filled by pycocotools, as the COCO export of
Label Studio's converter is; brush strokes are run lengths of RGBA bytes, of which alpha is the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.data.formats.coco_masks import coco_tool, fill_as_coco
from segtrain.data.formats.finding import ImageIndex, Source, missing, read_json, unique_names
from segtrain.data.formats.regions import (
    DAMAGED,
    Annotations,
    Item,
    Painted,
    Polygon,
    Problem,
    ring_problems,
)
from segtrain.errors import InputError

# `labels` are those of regions that were drawn by tools without labels of their own.
KINDS = {"polygonlabels", "brushlabels", "rectanglelabels", "ellipselabels", "keypointlabels", "labels"}
ELLIPSE_CORNERS = 180


class LabelStudio:
    """Reads the list of tasks, of each its first annotation that was not cancelled. Categories are the
    labels that occur, in the order of the alphabet."""

    def __call__(self, source: Source) -> Annotations:
        path = source.place(source.annotations, "annotations.json", "result.json", "project.json")
        paths = [path] if source.val_annotations is None else [path, source.place(source.val_annotations)]
        index, problems = source.image_index(), list[Problem]()
        splits = [_read(one, index, problems) for one in paths]
        labels = sorted({r.category for items in splits for i in items for r in i.regions if r.category})
        val = splits[1] if len(splits) > 1 else None
        return Annotations(dict.fromkeys(labels), splits[0], val, problems, paths)


def _read(path: Path, index: ImageIndex, problems: list[Problem]) -> list[Item]:
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path}: no list of tasks", do="export as JSON, not as JSON-MIN or CSV")
    try:
        return _parse(tasks, path, index, problems)
    except DAMAGED as error:
        what = f"{path}: not of Label Studio's form ({type(error).__name__}: {error})"
        raise InputError(what, do="export as JSON anew") from error


def _parse(tasks: list[Any], path: Path, index: ImageIndex, problems: list[Problem]) -> list[Item]:
    addresses = [next((v for v in task["data"].values() if isinstance(v, str)), "") for task in tasks]
    found = [index.find(address) for address in addresses]
    names = unique_names([file for file in found if file is not None], index.folder)
    items, seen = [], set()
    for task, address, file in zip(tasks, addresses, found, strict=True):
        where = f"task {task.get('id', address)}"
        if task.get("id", address) in seen:
            problems.append(Problem("ids", f"{path.name}: {where}", "again"))
        seen.add(task.get("id", address))
        if file is None:
            problems.append(missing(f"{where}: {address}", index))
            continue
        done = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
        results = [one for one in (done[0]["result"] if done else []) if one.get("type") in KINDS]
        sizes = {(int(one["original_height"]), int(one["original_width"])) for one in results}
        if len(sizes) > 1:
            problems.append(Problem("size", where, f"its results are for images of {len(sizes)} sizes"))
            continue
        regions = [region for one in results for region in _regions(one, where, problems)]
        items.append(Item(names[file], file, regions, sizes.pop() if sizes else None))
    return items


def _regions(one: dict[str, Any], where: str, problems: list[Problem]) -> list[Polygon | Painted]:
    """One region for each label of a result."""
    value, labels = one["value"], [str(label) for label in one["value"][one["type"]]]
    height, width = int(one["original_height"]), int(one["original_width"])
    if "rle" in value:
        strokes = Strokes(value["rle"], height, width)
        return [Painted(label, strokes) for label in labels]
    where = f"{where}: result {one.get('id', '')}"
    ring = _ring(value, height, width)
    if ring is None:
        wrong = [Problem("empty", where, f"one of {one['type']} has no area")]
    else:
        wrong = ring_problems(where, ring, width, height)
    problems += wrong
    if ring is None or any(problem.kind == "empty" for problem in wrong):
        return []
    coco_tool()
    return [Polygon(label, [ring], fill_as_coco) for label in labels]


def _ring(value: dict[str, Any], height: int, width: int) -> list[float] | None:
    """The outline of a polygon, box or ellipse in pixels; None of what has no outline.

    Boxes turn clockwise about their upper left corner, ellipses about their centre.
    """
    if "points" in value:
        return [number for x, y in value["points"] for number in (x / 100 * width, y / 100 * height)]
    if "radiusX" in value:
        angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
        along, across = value["radiusX"] * np.cos(angles), value["radiusY"] * np.sin(angles)
    elif "height" in value:
        along = np.array([0.0, value["width"], value["width"], 0.0])
        across = np.array([0.0, 0.0, value["height"], value["height"]])
    else:
        return None
    along, across = along / 100 * width, across / 100 * height
    turn = np.deg2rad(value.get("rotation") or 0)
    x = value["x"] / 100 * width + along * np.cos(turn) - across * np.sin(turn)
    y = value["y"] / 100 * height + along * np.sin(turn) + across * np.cos(turn)
    return np.stack([x, y], 1).ravel().tolist()


@dataclass(frozen=True)
class Strokes:
    """A brush's run lengths, packed in bits: 32 of the number of values, 5 of a value's bits less one,
    4 times 4 of a length's bits less one; then of each run 1 (one value again and again), 2 (which of the
    lengths), the length less one, and the value or the values."""

    rle: list[int]
    height: int
    width: int

    def __call__(self) -> np.ndarray:
        bits = np.unpackbits(np.array(self.rle, np.uint8))
        at = 0

        def read(count: int) -> int:
            nonlocal at
            at += count
            return int("".join(map(str, bits[at - count : at])), 2)

        total, word = read(32), read(5) + 1
        if total != 4 * self.height * self.width:
            raise ValueError(f"a brush of {total} values for {self.width}×{self.height} pixels")
        lengths = [read(4) + 1 for _ in range(4)]
        powers = 1 << np.arange(word - 1, -1, -1)
        values, done = np.zeros(total, np.int64), 0
        while done < total:
            repeated = read(1)
            count = read(lengths[read(2)]) + 1
            size = word if repeated else word * count
            part = bits[at : at + size].reshape(-1, word) @ powers
            values[done : done + count] = part
            at, done = at + size, done + count
        return values.reshape(self.height, self.width, 4)[..., 3] > 0
