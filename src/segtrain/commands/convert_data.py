"""What `segdata action=convert` writes: any data set as images, index PNGs, lists and class names."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Colour, Dataset, Sample, Split
from segtrain.data.checks.scan import map_indices
from segtrain.data.datasets.splits import source_of, splits_of
from segtrain.data.io.files import read_image
from segtrain.errors import InputError
from segtrain.files import inside, write_atomically

MADE_BY = "# Written by segdata action=convert. "
IGNORED_COLOUR = (224, 224, 192)  # of ignored pixels in the PNGs, VOC's
IMAGES, MASKS, CLASSES, DATA = "images", "masks", "classes.yaml", "data.yaml"


def convert_data(data: Dataset, name: str, to: Path, progress: Callable[[str, int], Any]) -> dict[str, int]:
    """Writes a data set as data=folder reads it; what is there already and equal stays untouched.

    Args:
        data: the data set.
        name: of it, for the files' first lines.
        to: the folder: images/NAME, masks/NAME.png, a list a split, classes.yaml and data.yaml.
        progress: as `check_data` takes it.

    Returns:
        How many files of each split were written anew.

    Raises:
        InputError: the folder holds something else, or a sample is faulty.
        SaveError: a file cannot be written.
    """
    _check_folder(to)
    written: dict[str, int] = {}
    classes = {"class_names": list(data.class_names), "palette": [list(colour) for colour in data.palette]}
    of_classes = yaml.safe_dump(classes, sort_keys=False, allow_unicode=True, default_flow_style=None)
    _write(to / CLASSES, f"{MADE_BY}The classes of {name}.\n{of_classes}".encode())
    taken: dict[str, str] = {}
    splits = splits_of(data)
    for split_name, split in splits.items():
        names = _file_names(split, taken, split_name)
        with progress(f"converting {split_name}", len(split)) as advance:
            done = map_indices(len(split), partial(_convert, split, names, data.palette, to), advance)
        lines = [f"{image}\t{mask}\n" for image, mask, _ in done]
        _write(to / f"{split_name}.txt", "".join(lines).encode())
        written[split_name] = sum(count for _, _, count in done)
    keys = "".join(["format: folder\nroot: .\n", *(f"{name}_split: {name}\n" for name in splits)])
    _write(to / DATA, f"{MADE_BY}segtrain data={to.name}/{DATA}\n{keys}".encode())
    return written


def _check_folder(to: Path) -> None:
    """Raises InputError where a folder holds what another made, which would be overwritten."""
    if to.is_file():
        raise InputError(f"to={to}: a file", do="give a folder")
    if to.is_dir() and any(to.iterdir()):
        classes = to / CLASSES
        if not classes.is_file() or not classes.read_text(encoding="utf-8").startswith(MADE_BY):
            raise InputError(f"to={to}: it holds other files", do="give a new folder")


def _file_names(split: Split, taken: dict[str, str], split_name: str) -> list[str]:
    """A file name for each sample, without suffix; the split's name before one that the other split has,
    a number behind one that comes again."""
    names = []
    for index in range(len(split)):
        plain = source_of(split, index)[0].replace("\t", " ").replace("\n", " ").lstrip("/")
        plain = "/".join(part for part in plain.split("/") if part not in ("", ".", "..")) or "image"
        name = f"{split_name}/{plain}" if taken.get(plain, split_name) != split_name else plain
        stem, number = name, 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken[name] = split_name
        names.append(name)
    return names


def _convert(
    split: Split, names: list[str], palette: tuple[Colour, ...], to: Path, index: int
) -> tuple[str, str, int]:
    """Writes a sample; gives the paths of its image and mask below the folder, and how many are new."""
    sample, source, name = split[index], source_of(split, index)[1], names[index]
    if sample.mask.ndim != 2:
        raise InputError(f"{sample.name}: several labels a pixel", do="convert data with one class a pixel")
    if source is not None and _reads_the_same(source, sample):
        image, content = f"{IMAGES}/{name}{source.suffix}", source.read_bytes()
    elif sample.image.dtype == np.uint8 and sample.image.shape[2] == 3:
        image, content = f"{IMAGES}/{name}.png", _png(Image.fromarray(sample.image))
    else:
        image, file = f"{IMAGES}/{name}.npy", io.BytesIO()
        np.save(file, sample.image)
        content = file.getvalue()
    mask = f"{MASKS}/{name}.png"
    drawn = Image.fromarray(sample.mask)
    drawn.putpalette(_flat(palette))
    return image, mask, _write(inside(to, image), content) + _write(inside(to, mask), _png(drawn))


def _reads_the_same(path: Path, sample: Sample) -> bool:
    """Whether data=folder would read the file as the data set does, so that it can be copied."""
    try:
        return np.array_equal(read_image(path), sample.image)
    except InputError:
        return False


def _flat(palette: tuple[Colour, ...]) -> list[int]:
    """768 numbers for a PNG's palette."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    table[IGNORE_INDEX] = IGNORED_COLOUR
    return table.ravel().tolist()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _write(path: Path, content: bytes) -> int:
    """Writes a file unless it is there and equal; gives 1 where it did."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return 0
    write_atomically(path, lambda file: file.write(content))
    return 1
