"""CVAT's exports: "CVAT for images" (annotations.xml) and "Segmentation mask" (labelmap.txt with PNGs).

The formats of docs.cvat.ai. Polygons are filled by pycocotools, as CVAT's own exports of masks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from segtrain.contracts import Colour
from segtrain.data.formats.coco_masks import coco_tool, fill_as_coco
from segtrain.data.formats.finding import ImageIndex, Source, hex_colour, missing, unique_names
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
from segtrain.data.io.files import read_list
from segtrain.errors import InputError

XML, LABEL_MAP = "annotations.xml", "labelmap.txt"
SPLITS, MASKS = "ImageSets/Segmentation", "SegmentationClass"


class Cvat:
    """Reads annotations.xml with its polygons, masks and boxes, the later z_order on top; or the masks that
    labelmap.txt explains."""

    def __call__(self, source: Source) -> Annotations:
        path = source.place(source.annotations, XML, LABEL_MAP)
        if path.suffix == ".txt":
            return _read_masks(path, source.image_index())
        coco_tool()
        index, problems = source.image_index(), list[Problem]()
        categories, train = _read_xml(path, index, problems)
        if source.val_annotations is None:
            return Annotations(categories, train, None, problems, [path])
        other = source.place(source.val_annotations)
        more, val = _read_xml(other, index, problems)
        return Annotations(more | categories, train, val, problems, [path, other])


def _read_xml(
    path: Path, index: ImageIndex, problems: list[Problem]
) -> tuple[dict[str, Colour | None], list[Item]]:
    try:
        root = ElementTree.parse(path).getroot()
        return _parse_xml(root, path, index, problems)
    except (*DAMAGED, ElementTree.ParseError) as error:
        raise InputError(
            f"{path}: not CVAT's XML ({type(error).__name__}: {error})", do="export anew"
        ) from error


def _parse_xml(
    root: Element, path: Path, index: ImageIndex, problems: list[Problem]
) -> tuple[dict[str, Colour | None], list[Item]]:
    meta = root.find("meta")
    labels = [] if meta is None else [label for label in meta.iter("label") if label.find("name") is not None]
    categories = {str(label.findtext("name")): hex_colour(label.findtext("color")) for label in labels}
    images = root.findall("image")
    found = [index.find(image.attrib["name"]) for image in images]
    names = unique_names([file for file in found if file is not None], index.folder)
    items, seen = [], set()
    for image, file in zip(images, found, strict=True):
        where = image.attrib["name"]
        if image.attrib.get("id") in seen:
            problems.append(Problem("ids", f"{path.name}: image {image.attrib['id']}", f"again for {where}"))
        seen.add(image.attrib.get("id", where))
        if file is None:
            problems.append(missing(where, index))
            continue
        size = (int(image.attrib["height"]), int(image.attrib["width"]))
        regions = []
        for number, one in enumerate(sorted(image, key=lambda one: int(one.attrib.get("z_order", 0)))):
            region, wrong = _region(one, categories, size, f"{where}: {one.tag} {number}")
            problems += wrong
            if region is not None:
                regions.append(region)
        items.append(Item(names[file], file, regions, size))
    return categories, items


def _region(
    one: Element, categories: dict[str, Colour | None], size: tuple[int, int], where: str
) -> tuple[Polygon | Painted | None, list[Problem]]:
    """What an element outlines, and what is wrong with it."""
    label = one.attrib.get("label", "")
    if one.tag not in ("polygon", "mask", "box"):
        return None, [] if one.tag == "tag" else [Problem("empty", where, f"a {one.tag} has no area")]
    if label not in categories:
        return None, [Problem("category", where, f"there is no label {label!r}")]
    values = one.attrib
    if one.tag == "mask":
        width, height, left, top = (int(values[key]) for key in ("width", "height", "left", "top"))
        return Painted(label, Runs(values["rle"], height, width), left, top), []
    if one.tag == "box":
        ring = box(*(float(values[key]) for key in ("xtl", "ytl", "xbr", "ybr")))
    else:
        ring = [float(value) for point in values["points"].split(";") for value in point.split(",")]
    problems = ring_problems(where, ring, size[1], size[0])
    empty = any(problem.kind == "empty" for problem in problems)
    return (None if empty else Polygon(label, [ring], fill_as_coco)), problems


@dataclass(frozen=True)
class Runs:
    """CVAT's run lengths: of pixels outside and inside by turns, along the rows."""

    rle: str
    height: int
    width: int

    def __call__(self) -> np.ndarray:
        counts = np.array([int(count) for count in self.rle.split(",")])
        if counts.sum() != self.height * self.width:
            raise ValueError(f"run lengths add up to {counts.sum()}, not to {self.height * self.width}")
        return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(self.height, self.width)


def _read_masks(path: Path, index: ImageIndex) -> Annotations:
    """Masks in colours below SegmentationClass, and labelmap.txt with a `label:red,green,blue::` a line."""
    categories: dict[str, Colour | None] = {}
    for line in read_list(path):
        if not line.startswith("#"):
            name, _, rest = line.partition(":")
            red, green, blue = (int(value) for value in rest.partition(":")[0].split(","))
            categories[name] = (red, green, blue)
    folder, problems = path.parent / MASKS, list[Problem]()
    lists = sorted((path.parent / SPLITS).glob("*.txt"))
    listed = {file.stem: read_list(file) for file in lists}
    if not listed:
        listed = {
            "default": [
                mask.relative_to(folder).with_suffix("").as_posix() for mask in sorted(folder.rglob("*.png"))
            ]
        }
    splits = {name: _masked(names, folder, index, problems) for name, names in listed.items()}
    train, val, test = (
        next((splits[name] for name in splits if name.lower().startswith(key)), None)
        for key in ("train", "val", "test")
    )
    if val is None:
        val, test = test, None
    if train is None or val is None:
        train, val, test = [item for items in splits.values() for item in items], None, None
    stored = {colour: name for name, colour in categories.items() if colour is not None}
    return Annotations(categories, train, val, problems, [path, *lists], stored, test)


def _masked(names: list[str], folder: Path, index: ImageIndex, problems: list[Problem]) -> list[Item]:
    images = {
        path.relative_to(index.folder).with_suffix("").as_posix(): path for path in index.by_path.values()
    }
    by_stem = {
        path.stem: path
        for path in index.by_path.values()
        if not path.is_relative_to(folder.parent / "SegmentationObject") and not path.is_relative_to(folder)
    }
    items = []
    for name in names:
        mask = folder / f"{name}.png"
        image = images.get(name) or by_stem.get(Path(name).name)
        if image is None or not mask.is_file():
            what = "no image of that name" if image is None else f"no {mask}"
            problems.append(Problem("missing", name, what))
        else:
            items.append(Item(name, image, mask=mask))
    return items
