"""What the numbers or colours of masks mean, as a user writes it in YAML."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from segtrain.contracts import IGNORE_INDEX, Colour
from segtrain.errors import InputError, reading_reason, shorten
from segtrain.files import content_of, user_path


class LabelMap(NamedTuple):
    """numbers, colours: the label of each; one of the two is empty."""

    numbers: dict[int, int]
    colours: dict[Colour, int]


def parse_label_map(label_map: Mapping[int | str, int] | str | None, num_classes: int) -> LabelMap:
    """The map's numbers or its colours.

    Keys may be texts even for numbers, since a checkpoint keeps its config as JSON.

    Raises:
        InputError: an unreadable file, a key that is neither or a mixture, or a label that is no class.
    """
    if label_map is None:
        return LabelMap({}, {})
    where = f"data.label_map={label_map}"
    shown: Callable[..., str] = shorten
    if isinstance(label_map, str):
        shown = _number_alone  # what else a file holds is nobody's business
        label_map = read_yaml(user_path(label_map), "data.label_map")
    if not isinstance(label_map, Mapping):
        raise InputError(
            f"{where}: no map", do="write {7: 1, 255: 255}, or the path of a YAML file with such"
        )
    numbers: dict[int, int] = {}
    colours: dict[Colour, int] = {}
    for key, label in label_map.items():
        if type(label) is not int or not (0 <= label < num_classes or label == IGNORE_INDEX):
            what = f"data.label_map: the label {shown(label)} of {shown(key)} is no class"
            raise InputError(what, do=f"give 0 to {num_classes - 1}, or {IGNORE_INDEX} to ignore a pixel")
        try:
            stored = tuple(map(int, str(key).split(",")))
        except ValueError:
            stored = ()
        if len(stored) == 1:
            numbers[stored[0]] = label
        elif len(stored) == 3 and all(0 <= channel <= 255 for channel in stored):
            colours[stored] = label
        else:
            raise InputError(
                f"data.label_map: {shown(key)}", do='give a number, or a colour such as "255,0,0"'
            )
    if numbers and colours:
        raise InputError("data.label_map: numbers and colours", do="masks have one or the other")
    return LabelMap(numbers, colours)


def _number_alone(value: object) -> str:
    """A number or colour as it is, anything else as what it is."""
    text = str(value)
    return text if re.fullmatch(r"-?\d{1,9}(, ?\d{1,9}){0,3}", text) else f"({type(value).__name__})"


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file; `what` it is meant as, for the message. Raises InputError."""
    try:
        return yaml.safe_load(content_of(path).decode("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = reading_reason(error)
        raise InputError(f"{what}={path}: cannot be read ({reason})", do="give a YAML file") from error
