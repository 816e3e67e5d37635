"""The classes of one's own data: how many, their names and their colours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from segtrain.contracts import IGNORE_INDEX, Colour
from segtrain.data.datasets.palettes import okabe_ito
from segtrain.data.io.label_map import parse_label_map, read_yaml
from segtrain.errors import InputError

FILE = "classes.yaml"  # below the root: class_names, and palette if it likes


class ClassList(NamedTuple):
    """names: one a class, all different. palette: as many colours."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]


def find_classes(
    root: Path,
    num_classes: int | None,
    class_names: list[str] | None,
    palette: list[list[int]] | None,
    label_map: Mapping[int | str, int] | str | None,
) -> ClassList:
    """The classes, from what the user says and else from `root/classes.yaml`.

    Args:
        root: of the data set.
        num_classes, class_names, palette, label_map: as the data set takes them; each may be null.

    Raises:
        InputError: they contradict one another, or the file is not of its form.
    """
    if num_classes is not None and not 1 <= num_classes <= IGNORE_INDEX:
        raise InputError(f"data.num_classes={num_classes}", do=f"give 1 to {IGNORE_INDEX}")
    saved = _saved(root / FILE) if class_names is None else {}
    if num_classes in (None, len(saved.get("class_names", ()))):
        class_names = class_names or saved.get("class_names")
        palette = palette or saved.get("palette")
    numbers, colours = parse_label_map(label_map, IGNORE_INDEX)
    if num_classes is None:
        labels = [label for label in (*numbers.values(), *colours.values()) if label != IGNORE_INDEX]
        num_classes = len(class_names) if class_names else max(labels, default=1) + 1
    own = {label: colour for colour, label in reversed(colours.items())}  # the first colour of a class
    names = named(class_names, num_classes)
    if palette is not None:
        return ClassList(names, _palette(palette, num_classes))
    first = "background" if class_names is None else names[0]  # of classes without names
    drawn = enumerate(okabe_ito((first, *names[1:])))
    return ClassList(names, tuple(own.get(label, colour) for label, colour in drawn))


def named(class_names: list[str] | None, num_classes: int) -> tuple[str, ...]:
    """The names as texts, numbers where there are none. Raises InputError where they do not fit."""
    if num_classes > IGNORE_INDEX:
        do = f"name the classes to take in data.class_names, {IGNORE_INDEX} at most"
        raise InputError(f"there are {num_classes} classes", do=do)
    names = tuple(map(str, range(num_classes) if class_names is None else class_names))
    if len(names) != num_classes or len(set(names)) != num_classes:
        what = f"data.class_names: {len(set(names))} different names for data.num_classes={num_classes}"
        raise InputError(what, do="give each class its name")
    return names


def _palette(palette: list[list[int]], num_classes: int) -> tuple[Colour, ...]:
    listed = isinstance(palette, list) and all(isinstance(colour, list | tuple) for colour in palette)
    colours = [tuple(colour) for colour in palette] if listed else []
    sound = all(len(c) == 3 and all(type(v) is int and 0 <= v <= 255 for v in c) for c in colours)
    if len(colours) != num_classes or not sound:
        what = f"data.palette: {len(colours)} colours for data.num_classes={num_classes}"
        raise InputError(what, do="give [red, green, blue] of 0 to 255 for each class")
    return tuple((red, green, blue) for red, green, blue in colours)


def _saved(path: Path) -> dict[str, Any]:
    """What the file says; empty where there is none."""
    if not path.is_file():
        return {}
    content = read_yaml(path, "the classes")
    names = content.get("class_names") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}: no class_names in it", do="write class_names: [background, ...]")
    return content
