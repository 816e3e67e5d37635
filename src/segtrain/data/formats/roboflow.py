"""Roboflow's "Semantic Segmentation Masks": NAME.jpg with NAME_mask.png, and _classes.csv, in a folder
a split (docs.roboflow.com). A mask's number is the class's line in the CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from segtrain.data.formats.finding import Source
from segtrain.data.formats.regions import DAMAGED, Annotations, Item, Problem
from segtrain.data.io.listing import image_files
from segtrain.errors import InputError
from segtrain.files import content_of

CLASSES, MASK = "_classes.csv", "_mask"
TRAIN, VAL, TEST = "train", "valid", "test"


class Roboflow:
    """Reads the folders train, valid and test, or those that `annotations` and `val_annotations` name."""

    def __call__(self, source: Source) -> Annotations:
        train = source.place(source.annotations, TRAIN, ".")
        val = None if source.val_annotations is None else source.place(source.val_annotations)
        if source.annotations is None and val is None and (source.root / VAL).is_dir():
            val = source.root / VAL
        own = source.annotations is None and source.val_annotations is None and train != source.root
        test = source.root / TEST if own and (source.root / TEST).is_dir() else None
        problems = list[Problem]()
        folders = [folder for folder in (train, val, test) if folder is not None]
        values = _classes(train / CLASSES)
        for folder in folders[1:]:
            if _classes(folder / CLASSES) != values:
                raise InputError(f"{folder / CLASSES}: not the classes of {train}", do="export both anew")
        splits = [_items(folder, source.root, problems) for folder in folders]
        files = [folder / CLASSES for folder in folders]
        categories = dict.fromkeys(values.values())
        found = dict(zip(folders, splits, strict=True))
        of_val, of_test = (found.get(folder) if folder else None for folder in (val, test))
        return Annotations(categories, splits[0], of_val, problems, files, values, of_test)


def _classes(path: Path) -> dict[int, str]:
    """The class of each number. Raises InputError."""
    try:
        file = io.StringIO(content_of(path).decode("utf-8-sig"), newline="")
        rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
        return {int(row[0]): row[1] for row in rows[1:] if row}
    except DAMAGED as error:
        raise InputError(
            f"{path}: cannot be read ({error})", do="it has lines `Pixel Value, Class`"
        ) from error


def _items(folder: Path, root: Path, problems: list[Problem]) -> list[Item]:
    files = {path.with_suffix(""): path for path in image_files(folder)}
    items = []
    for stem, path in files.items():
        if stem.name.endswith(MASK):
            continue
        mask = files.get(stem.with_name(stem.name + MASK))
        if mask is None:
            problems.append(Problem("missing", str(path), f"no {stem.name}{MASK}.png beside it"))
        else:
            items.append(Item(stem.relative_to(root).as_posix(), path, mask=mask))
    return items
