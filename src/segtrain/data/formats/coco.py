"""COCO's JSON: instances_train.json and the like, with polygons and run-length masks.

"Microsoft COCO: Common Objects in Context", Lin et al., ECCV 2014; the format at cocodataset.org. Masks are
made by the data set's own tool, pycocotools, so that they are those of its `annToMask`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtrain.contracts import Colour
from segtrain.data.formats.coco_masks import coco_tool, decode_rle, fill_as_coco
from segtrain.data.formats.finding import ImageIndex, Source, missing, read_json, unique_names
from segtrain.data.formats.regions import DAMAGED, Annotations, Item, Painted, Polygon, Problem, ring_problems
from segtrain.errors import InputError

USUAL = (
    "annotations.json",
    "_annotations.coco.json",
    "train/_annotations.coco.json",  # Roboflow's
    "annotations/instances_train.json",
    "annotations/instances_default.json",  # CVAT's
    "annotations/instances_train2017.json",
    "result.json",  # Label Studio's
)
BESIDE = {  # what validates and what tests beside what trains
    "train/_annotations.coco.json": ("valid/_annotations.coco.json", "test/_annotations.coco.json"),
    "annotations/instances_train.json": ("annotations/instances_val.json", "annotations/instances_test.json"),
    "annotations/instances_train2017.json": ("annotations/instances_val2017.json",),
}


class _File(NamedTuple):
    """One JSON file."""

    categories: dict[str, Colour | None]
    items: list[Item]
    problems: list[Problem]


class Coco:
    """Reads COCO's JSON. A crowd (`iscrowd`) is ignored; a category with a `color` keeps it."""

    def __call__(self, source: Source) -> Annotations:
        coco_tool()  # its absence is said now
        path = source.place(source.annotations, *USUAL)
        beside: dict[str, Path] = {}
        if source.val_annotations is not None:
            beside["val"] = source.place(source.val_annotations)
        elif source.annotations is None:
            listed = [source.root / name for name in BESIDE.get(path.relative_to(source.root).as_posix(), ())]
            named = zip(("val", "test"), listed, strict=False)
            beside = {split: file for split, file in named if file.is_file()}
        index = source.image_index()
        train = _read(path, index)
        others = {split: _read(file, index) for split, file in beside.items()}
        categories, problems, items = dict(train.categories), list(train.problems), {}
        for split, other in others.items():
            categories |= {k: colour for k, colour in other.categories.items() if k not in categories}
            problems += other.problems
            items[split] = other.items
        files = [path, *beside.values()]
        val, test = items.get("val"), items.get("test")
        return Annotations(categories, train.items, val, problems, files, test=test)


def _read(path: Path, index: ImageIndex) -> _File:
    content = read_json(path)
    parts = [content.get(key) if isinstance(content, dict) else None for key in ("images", "categories")]
    if not all(isinstance(part, list) for part in parts):
        raise InputError(
            f"{path}: no lists of images and categories in it", do="give COCO's JSON of instances"
        )
    try:
        return _parse(content, index, path)
    except DAMAGED as error:
        what = f"{path}: not of COCO's form ({type(error).__name__}: {error})"
        raise InputError(what, do="export it anew") from error


def _parse(content: dict[str, Any], index: ImageIndex, path: Path) -> _File:
    categories = {one["id"]: str(one["name"]) for one in content["categories"]}
    colours = {str(one["name"]): _colour(one.get("color")) for one in content["categories"]}
    annotations = content.get("annotations") or []
    problems = [
        Problem("ids", f"{path.name}: {kind} {id_}", f"{count} times in it")
        for kind, ones in (("image", content["images"]), ("annotation", annotations))
        for id_, count in Counter(one["id"] for one in ones).items()
        if count > 1
    ]
    of_image: dict[Any, list] = {image["id"]: [] for image in content["images"]}
    for one in annotations:
        if one["image_id"] in of_image:
            of_image[one["image_id"]].append(one)
        else:
            where = f"{path.name}: annotation {one['id']}"
            problems.append(Problem("missing", where, f"there is no image {one['image_id']}"))
    found = {image["id"]: index.find(str(image["file_name"]), path.parent) for image in content["images"]}
    names = unique_names([image for image in found.values() if image is not None], index.folder)
    items = []
    for image in {image["id"]: image for image in content["images"]}.values():
        file = found[image["id"]]
        if file is None:
            problems.append(missing(str(image["file_name"]), index))
            continue
        size = (int(image["height"]), int(image["width"]))
        regions = []
        for one in of_image[image["id"]]:
            region, wrong = _region(one, categories, size, f"{path.name}: annotation {one['id']}")
            problems += wrong
            if region is not None:
                regions.append(region)
        items.append(Item(names[file], file, regions, size))
    return _File(colours, items, problems)


def _region(
    one: dict[str, Any], categories: dict[int, str], size: tuple[int, int], where: str
) -> tuple[Polygon | Painted | None, list[Problem]]:
    """What an annotation outlines, and what is wrong with it."""
    if one["category_id"] not in categories:
        return None, [Problem("category", where, f"there is no category {one['category_id']}")]
    category = None if one.get("iscrowd") else categories[one["category_id"]]
    outline = one.get("segmentation")
    if isinstance(outline, dict):
        rle_size = tuple(outline["size"])
        if rle_size != size:
            of, image = (f"{w}×{h}" for h, w in (rle_size, size))
            return None, [Problem("size", where, f"its mask is {of}, the image {image}")]
        return Painted(category, RunLengths(outline["counts"], *size)), []
    if not outline:
        return None, [Problem("empty", where, "no polygon and no mask")]
    problems = [wrong for ring in outline for wrong in ring_problems(where, ring, size[1], size[0])]
    rings: Sequence = outline if not problems else [ring for ring in outline if len(ring) >= 6]
    return (Polygon(category, rings, fill_as_coco) if rings else None), problems


@dataclass(frozen=True)
class RunLengths:
    """COCO's run-length mask: `counts` as a list or packed in a text."""

    counts: list[int] | str
    height: int
    width: int

    def __call__(self) -> np.ndarray:
        return decode_rle(self.counts, self.height, self.width)


def _colour(value: Any) -> Colour | None:
    sound = isinstance(value, list) and len(value) == 3 and all(isinstance(v, int) for v in value)
    return (value[0], value[1], value[2]) if sound else None
