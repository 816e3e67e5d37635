"""A label map for masks whose numbers or colours are no labels: a guess, written out to be read."""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from itertools import chain
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, HasPairs, Split
from segtrain.data.checks.scan import map_indices
from segtrain.data.datasets.camvid import CamVid
from segtrain.data.datasets.cityscapes import Cityscapes
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.label_map import Colour
from segtrain.data.io.masks import INDEX_MODES

MOST_COLOURS = 256  # more are no classes, but smoothed edges or JPEG's noise
Value = int | Colour


class Content(NamedTuple):
    """What masks hold: pixels and files of each number, or of each RGB colour."""

    pixels: dict[Value, int]
    files: dict[Value, int]


def mask_files(splits: Iterable[Split]) -> list[Path]:
    """The files of the masks of those splits that have some."""
    pairs = chain.from_iterable(split.pairs for split in splits if isinstance(split, HasPairs))
    return [pair.mask for pair in pairs if pair.mask.is_file()]


def read_content(
    paths: list[Path], *, coloured: bool = False, advance: Callable[[int], None] | None = None
) -> Content:
    """What the masks that can be read as images hold; colours as soon as one of them has colours.

    Args:
        coloured: they are meant as colours, palette images too.
    """
    read = [one for one in map_indices(len(paths), lambda i: _values(paths[i]), advance) if one]
    coloured = coloured or any(one.coloured for one in read)
    content = Content({}, {})
    for one in read:
        for value, count in (one.colours if coloured else one.numbers).items():
            content.pixels[value] = content.pixels.get(value, 0) + count
            content.files[value] = content.files.get(value, 0) + 1
    return content


def propose(content: Content, palette: tuple[Colour, ...], given: Mapping[Any, int]) -> dict[Value, int]:
    """A label for each value that the masks hold; empty where none can be guessed or none is needed.

    Args:
        content: of all the masks.
        palette: of the data set; as many colours as classes.
        given: what a label map says already, which is kept.
    """
    values: list[Any] = sorted(content.pixels)  # all are numbers, or all are colours
    classes = len(palette)
    if not values or len(values) > MOST_COLOURS:
        return {}
    rest = [value for value in values if value not in given]
    if given:
        guess: dict[Value, int] = {value: _own(value, classes) for value in rest}
    elif isinstance(values[0], tuple):
        colours = [value for value in values if isinstance(value, tuple)]
        guess = _by_palette(colours, palette) or _by_size(colours, content.pixels, classes)
    else:
        guess = _by_number([value for value in values if isinstance(value, int)], palette)
    return {**{value: given[value] for value in values if value in given}, **guess}


def describe_label_map(label_map: Mapping[Value, int], content: Content, class_names: Iterable[str]) -> str:
    """The map as YAML for `data.label_map`, with what each value was seen in."""
    names = dict(enumerate(class_names)) | {IGNORE_INDEX: "ignored"}
    lines = ["# Proposed by segdata action=check, from what the masks hold. It is a guess: read it first.\n"]
    for value, label in sorted(label_map.items(), key=lambda item: item[1]):
        key = ",".join(map(str, value)) if isinstance(value, tuple) else value
        seen = f"{content.pixels[value]:,} pixels in {content.files[value]:,} masks"
        lines.append(f'"{key}": {label} # {names[label]}: {seen}\n')
    return "".join(lines)


class _Values(NamedTuple):
    """One mask's pixels of each number and of each colour."""

    numbers: dict[int, int]
    colours: dict[Colour, int]
    coloured: bool


def _values(path: Path) -> _Values | None:
    try:
        with Image.open(path) as image:
            image.load()
        if image.mode == "F":
            return None
        coloured = image.mode not in INDEX_MODES
        numbers = {} if coloured else _count(np.asarray(image))
        if image.mode.startswith("I"):  # no colours
            return _Values(numbers, {}, coloured)
        red, green, blue = (np.asarray(c, np.int32) for c in image.convert("RGBA").convert("RGB").split())
        packed = _count(red << 16 | green << 8 | blue)
        return _Values(numbers, {(c >> 16, c >> 8 & 255, c & 255): n for c, n in packed.items()}, coloured)
    except Exception:  # whatever is no image has its fault already
        return None


def _count(array: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(array, return_counts=True)
    values, counts = values[: MOST_COLOURS + 1], counts[: MOST_COLOURS + 1]
    return dict(zip((int(value) for value in values), counts.tolist(), strict=True))


def _own(value: Value, classes: int) -> int:
    """A number's own label where it is one, ignored for all else."""
    return value if isinstance(value, int) and 0 <= value < classes else IGNORE_INDEX


def _by_palette(colours: list[Colour], palette: tuple[Colour, ...]) -> dict[Value, int]:
    """Labels by the palette that has the most of the colours, if it has half of them."""
    tables = [{colour: i for i, colour in enumerate(known)} for known in _palettes(palette)]
    best = max(tables, key=lambda table: sum(colour in table for colour in colours))
    found: dict[Value, int] = {colour: best.get(colour, IGNORE_INDEX) for colour in colours}
    return found if 2 * sum(colour in best for colour in colours) >= len(colours) > 1 else {}


def _by_size(colours: list[Colour], pixels: Mapping[Value, int], classes: int) -> dict[Value, int]:
    """Black first, as background, then by size; what is left over is ignored."""
    ordered = sorted(colours, key=lambda colour: (colour != (0, 0, 0), -pixels[colour]))
    return {colour: i if i < classes else IGNORE_INDEX for i, colour in enumerate(ordered)}


def _by_number(numbers: list[int], palette: tuple[Colour, ...]) -> dict[Value, int]:
    """Labels of numbers of which some are no labels."""
    classes = len(palette)
    if numbers == [0, IGNORE_INDEX] and classes == 2:
        return {0: 0, IGNORE_INDEX: 1}
    if all(_own(number, classes) == number or number == IGNORE_INDEX for number in numbers):
        return {}
    inside = [number for number in numbers if number != IGNORE_INDEX]
    for known in _palettes(palette):  # a palette image that was converted to grey
        greys = {_grey(colour): i for i, colour in enumerate(known)}
        if len(greys) == classes and len(inside) > 1 and all(number in greys for number in inside):
            return {number: greys.get(number, IGNORE_INDEX) for number in numbers}
    for ordered in (inside, numbers):
        if len(ordered) == classes:
            return {
                number: ordered.index(number) if number in ordered else IGNORE_INDEX for number in numbers
            }
    for spread in (inside, numbers):  # labels that were multiplied, so as to be seen
        step = reduce(gcd, spread)
        if step > 1 and spread[0] >= 0 and spread[-1] // step < classes:
            return {number: number // step if number in spread else IGNORE_INDEX for number in numbers}
    return {number: _own(number, classes) for number in numbers}


def _palettes(own: tuple[Colour, ...]) -> list[tuple[Colour, ...]]:
    """The data set's palette, and the known ones of as many classes."""
    known = [own, CamVid.palette, Cityscapes.palette, voc_palette(len(own))]
    return [tuple((r, g, b) for r, g, b in palette) for palette in known if len(palette) == len(own)]


def _grey(colour: Colour) -> int:
    """What Pillow's convert("L") makes of it."""
    return int(np.asarray(Image.new("RGB", (1, 1), colour).convert("L"))[0, 0])
