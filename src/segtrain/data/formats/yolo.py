"""YOLO's segmentation labels: data.yaml, and a text file an image with a polygon a line.

The format of Ultralytics' "Instance Segmentation Datasets Overview" (docs.ultralytics.com): class index, then
x and y as shares of the width and height. Polygons are cut to whole pixels and filled with their outline, as
Ultralytics draws them. A share of six decimals can fall just below the pixel that it was made of, which
Ultralytics cuts to the pixel before: by default such a vertex stays where it was drawn.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from segtrain.data.formats.finding import Source, unique_names
from segtrain.data.formats.polygons import DECIMALS, fill_pixels
from segtrain.data.formats.regions import Annotations, Item, Polygon, Problem, ring_problems
from segtrain.data.io.files import read_list
from segtrain.data.io.label_map import read_yaml
from segtrain.data.io.listing import image_files
from segtrain.errors import InputError

BOX = 4  # numbers of a line that outlines nothing


class Yolo:
    """Reads data.yaml with `train`, `val`, `test` and `names`, and labels/NAME.txt for images/NAME.jpg. An
    image without a label file is all background.

    Args:
        short: pixels by which a vertex may fall short of a whole pixel and is still on it; 0 draws every mask
            as Ultralytics does.
    """

    def __init__(self, short: float = DECIMALS):
        self.short = short

    def __call__(self, source: Source) -> Annotations:
        path = source.place(source.annotations, "data.yaml", "dataset.yaml")
        content = read_yaml(path, "data.annotations")
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names, key=int)]
        if not isinstance(names, list) or not names or not content.get("train"):
            raise InputError(f"{path}: no train and names in it", do="give YOLO's data.yaml")
        names, problems = [str(name) for name in names], list[Problem]()
        bases = [path.parent / str(content.get("path") or "."), path.parent]
        splits: list[list[Item]] = []
        for key in ("train", "val", "test"):
            listed = content.get(key)
            images = [image for one in _as_list(listed) for image in _images(str(one), bases, path)]
            splits.append(_items(images, names, path.parent, problems, self.short))
        val = splits[1] if content.get("val") and content["val"] != content["train"] else None
        test = splits[2] if content.get("test") not in (None, content["train"], content.get("val")) else None
        return Annotations(dict.fromkeys(names), splits[0], val, problems, [path], test=test)


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value] if value else []


def _images(name: str, bases: list[Path], path: Path) -> list[Path]:
    """The images of a folder or of a list. Raises InputError."""
    for place in bases:
        for candidate in (place / name, place / name.removeprefix("../")):  # Roboflow's is one above
            if candidate.is_dir():
                return list(image_files(candidate))
            if candidate.is_file():
                return [p if p.is_absolute() else place / p for p in map(Path, read_list(candidate))]
    raise InputError(f"{path}: {name}: no such folder or list", do="mend path, train and val in it")


def _items(
    images: list[Path], names: list[str], folder: Path, problems: list[Problem], short: float
) -> list[Item]:
    called = unique_names(images, folder)
    items, fill = [], partial(fill_pixels, short=short)
    for image in images:
        if not image.is_file():
            problems.append(Problem("missing", str(image), "no such image"))
            continue
        label = _label_file(image)
        lines = read_list(label) if label.is_file() else []
        regions = []
        for number, line in enumerate(lines, 1):
            region, wrong = _region(line, names, f"{label}, line {number}")
            problems += wrong
            if region is not None:
                regions.append(region._replace(fill=fill))
        items.append(Item(called[image], image, regions))
    return items


def _label_file(image: Path) -> Path:
    """labels/a.txt for images/a.jpg, by the last folder of that name; else beside the image."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _region(line: str, names: list[str], where: str) -> tuple[Polygon | None, list[Problem]]:
    try:
        first, *numbers = [float(word) for word in line.split()]
    except ValueError:
        return None, [Problem("form", where, "not a class and a polygon")]
    if not (first.is_integer() and 0 <= first < len(names)):
        return None, [Problem("category", where, f"class {first:g} of {len(names)} classes")]
    if len(numbers) == BOX:
        return None, [Problem("empty", where, "a box, and no polygon")]
    problems = ring_problems(where, numbers, 1, 1)
    if any(not -0.01 <= number <= 1.01 for number in numbers):
        problems = [p for p in problems if p.kind != "outside"]
        problems.append(Problem("outside", where, "shares of the width and height must be 0 to 1"))
    if any(problem.kind == "empty" for problem in problems):
        return None, problems
    return Polygon(names[int(first)], [numbers], fill_pixels, 1), problems
