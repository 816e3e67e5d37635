"""Classes and a label map for masks whose numbers or colours are no labels: a guess, written to be read."""

from collections.abc import Iterable, Mapping
from functools import reduce
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Colour
from segtrain.data.checks.content import MOST_COLOURS, Content, Value
from segtrain.data.datasets.camvid import CamVid
from segtrain.data.datasets.cityscapes import Cityscapes
from segtrain.data.datasets.voc import CLASS_NAMES, voc_palette

KNOWN = (  # palettes that are recognised whatever the number of classes
    (CamVid.palette, CamVid.class_names),
    (Cityscapes.palette, Cityscapes.class_names),
    (voc_palette(len(CLASS_NAMES)), CLASS_NAMES),
)


class Proposal(NamedTuple):
    """What masks probably mean.

    Attributes:
        label_map: a label for each value; empty where the numbers are labels, or nothing can be guessed.
        num_classes: that they need.
        class_names: of a palette that was recognised, else None.
        areas: where edges are smooth or masks are JPEGs, the values that fill areas: all others are to
            take the label of the nearest (`data.snap=true`).
    """

    label_map: dict[Value, int]
    num_classes: int
    class_names: tuple[str, ...] | None = None
    areas: tuple[Value, ...] = ()


def propose(content: Content, palette: tuple[Colour, ...], given: Mapping[Any, int]) -> Proposal:
    """A label for each value that the masks hold.

    Args:
        content: of all the masks.
        palette: of the data set; as many colours as classes. Where the masks hold more values than one
            more than that, each of them becomes a class.
        given: what a label map says already, which is kept.
    """
    values: list[Any] = sorted(content.pixels)  # all are numbers, or all are colours
    classes = len(palette)
    areas = content.areas() if content.smooth and not given else []
    if given and len(values) <= MOST_COLOURS:
        guess = {value: given.get(value, _own(value, classes)) for value in values}
        return Proposal(guess, classes)
    wanted: list[Any] = areas or values
    if given or not wanted or len(wanted) > MOST_COLOURS or (areas and len(areas) < 2):
        return Proposal({}, classes)
    if isinstance(wanted[0], tuple):
        palette, names = _enough_colours(wanted, palette)
        guess = _by_palette(wanted, palette) or _by_size(wanted, content.pixels, len(palette))
    else:
        palette, names = _enough_numbers(wanted, palette), None
        guess = _by_number(wanted, palette)
        if areas and guess and len(values) <= MOST_COLOURS:
            guess = {value: guess[min(areas, key=lambda area: abs(area - value))] for value in values}
    return Proposal(guess, len(palette), names, tuple(areas))


def describe_label_map(label_map: Mapping[Value, int], content: Content, class_names: Iterable[str]) -> str:
    """The map as YAML for `data.label_map`, with what each value was seen in."""
    names = dict(enumerate(class_names)) | {IGNORE_INDEX: "ignored"}
    lines = ["# Proposed by segdata action=check, from what the masks hold. It is a guess: read it first.\n"]
    for value, label in sorted(label_map.items(), key=lambda item: item[1]):
        seen = f"{content.pixels[value]:,} pixels in {content.files[value]:,} masks"
        lines.append(f'"{as_key(value)}": {label} # {names[label]}: {seen}\n')
    return "".join(lines)


def as_key(value: Value) -> str:
    """A number or colour as a label map's key: `255,0,0`."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _enough_colours(
    colours: list[Colour], palette: tuple[Colour, ...]
) -> tuple[tuple[Colour, ...], tuple[str, ...] | None]:
    """A palette with a class for each colour, and its names where it is a known one."""
    for known, names in KNOWN:
        own = sum(colour in known for colour in colours)
        if own >= 3 and own >= len(colours) - 1 and len(palette) in (2, len(known)):
            return known, names
    return (palette if len(colours) <= len(palette) + 1 else voc_palette(len(colours))), None


def _enough_numbers(numbers: list[int], palette: tuple[Colour, ...]) -> tuple[Colour, ...]:
    """A palette with a class for each number: up to the largest where they are labels as they stand."""
    inside = [number for number in numbers if 0 <= number < IGNORE_INDEX]
    if len(inside) <= len(palette) + 1:
        return palette
    dense = inside[-1] + 1 <= 1.5 * len(inside)
    return voc_palette(inside[-1] + 1 if dense else len(inside))


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
