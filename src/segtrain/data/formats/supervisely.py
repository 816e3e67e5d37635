"""Supervisely's projects: meta.json, and below each data set img/NAME.png with ann/NAME.png.json
(docs.supervisely.com). Polygons are drawn with their outline, as its SDK does by OpenCV."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segtrain.contracts import Colour
from segtrain.data.formats.finding import ImageIndex, Source, hex_colour, missing, read_json, unique_names
from segtrain.data.formats.polygons import fill_pixels
from segtrain.data.formats.regions import (
    DAMAGED,
    Annotations,
    Item,
    Painted,
    Polygon,
    Problem,
    box,
    ring_problems,
)
from segtrain.data.io.listing import visible
from segtrain.errors import InputError


class Supervisely:
    """Reads a project. `annotations` and `val_annotations` are data sets of it; null takes all of them."""

    def __call__(self, source: Source) -> Annotations:
        path = source.root / "meta.json"
        meta = read_json(path)
        try:
            categories = {str(one["title"]): hex_colour(one.get("color")) for one in meta["classes"]}
        except DAMAGED as error:
            raise InputError(f"{path}: not Supervisely's ({error})", do="export the project anew") from error
        index, problems = source.image_index(), list[Problem]()
        files, splits = [path], list[list[Item]]()
        given = [source.annotations] + ([source.val_annotations] if source.val_annotations else [])
        for name in given:
            folder = source.place(name, ".")
            found = [one for one in visible(folder, "**/*.json") if one.parent.name == "ann"]
            splits.append(_items(found, categories, index, problems))
            files += found
        val = splits[1] if len(splits) > 1 else None
        return Annotations(categories, splits[0], val, problems, files)


def _items(
    paths: list[Path], categories: dict[str, Colour | None], index: ImageIndex, problems: list[Problem]
) -> list[Item]:
    images = [path.parent.parent / "img" / path.name.removesuffix(".json") for path in paths]
    names = unique_names(images, index.folder)
    items = []
    for path, image in zip(paths, images, strict=True):
        if not image.is_file():
            problems.append(missing(str(image), index))
            continue
        content = read_json(path)
        try:
            size = (int(content["size"]["height"]), int(content["size"]["width"]))
            regions = []
            for number, one in enumerate(content["objects"]):
                region, wrong = _region(one, categories, size, f"{path}: object {one.get('id', number)}")
                problems += wrong
                if region is not None:
                    regions.append(region)
        except DAMAGED as error:
            problems.append(
                Problem("form", str(path), f"not Supervisely's ({type(error).__name__}: {error})")
            )
            continue
        items.append(Item(names[image], image, regions, size))
    return items


def _region(
    one: dict[str, Any], categories: dict[str, Colour | None], size: tuple[int, int], where: str
) -> tuple[Polygon | Painted | None, list[Problem]]:
    """What an object outlines, and what is wrong with it."""
    title, kind = str(one["classTitle"]), one["geometryType"]
    if title not in categories:
        return None, [Problem("category", where, f"there is no class {title!r}")]
    if kind == "bitmap":
        left, top = one["bitmap"]["origin"]
        return Painted(title, Bitmap(one["bitmap"]["data"]), int(left), int(top)), []
    if kind not in ("polygon", "rectangle"):
        return None, [Problem("empty", where, f"a {kind} has no area")]
    outer = [float(value) for point in one["points"]["exterior"] for value in point]
    if kind == "rectangle" and len(outer) == 4:
        outer = box(*outer)
    problems = ring_problems(where, outer, size[1], size[0])
    if any(problem.kind == "empty" for problem in problems):
        return None, problems
    cut = [
        [float(value) for point in ring for value in point] for ring in one["points"].get("interior") or []
    ]
    return Polygon(title, [outer, *cut], fill_cut_out if cut else fill_pixels), problems


def fill_cut_out(rings: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """The first ring without the others, each drawn with its outline; bool H×W."""
    mask = fill_pixels(rings[:1], height, width)
    for ring in rings[1:]:
        mask &= ~fill_pixels([ring], height, width)
    return mask


@dataclass(frozen=True)
class Bitmap:
    """A PNG, compressed by zlib, in base64; its alpha channel is the mask where it has one."""

    text: str

    def __call__(self) -> np.ndarray:
        try:
            content = zlib.decompress(base64.b64decode(self.text))
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                transparent = image.mode in ("RGBA", "LA") or "transparency" in image.info
                channel = image.convert("RGBA").getchannel("A") if transparent else image.convert("L")
                return np.asarray(channel) > 0
        except (zlib.error, OSError) as error:
            raise ValueError(f"a bitmap is damaged: {error}") from error
