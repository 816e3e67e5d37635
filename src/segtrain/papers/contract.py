"""A config held against its paper: every number that differs, and what else is done otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from segtrain.papers.paper import Recipe, recipe_of

TARGET = "_target_"
TRAINED, RANDOM = "trained weights", "random weights"  # values of `start`
SHOWN_AT_ONCE = 3  # in the one line at the start of a training


class Departure(NamedTuple):
    """What a config does otherwise than its paper.

    Attributes:
        key: of the config; "" where no key says it.
        ours, paper: the values, as text.
        source: where the paper's stands.
        text: in a few words, with both.
    """

    key: str
    ours: str
    paper: str
    source: str
    text: str


class Held(NamedTuple):
    """One number of the paper beside the config's.

    Attributes:
        key, ours, paper, source: as of a Departure. kept: whether they are equal.
    """

    key: str
    ours: str
    paper: str
    source: str
    kept: bool


def contract(config: Mapping[str, Any], experiment: str) -> list[Held]:
    """Every number that the paper gives for a recipe, beside the config's.

    Args:
        config: resolved, as plain dicts and lists.
        experiment: the recipe's name, `deeplabv1_voc`.

    Returns:
        In the order of the paper's data; empty for recipes of our own.
    """
    recipe = recipe_of(experiment) or Recipe([], [], [])
    rows = []
    for key, value, source in recipe.facts:
        ours = value_of(config, key)
        rows.append(Held(key, shown(ours), shown(value), source, _equal(ours, value)))
    return rows


def departures(config: Mapping[str, Any], experiment: str) -> list[Departure]:
    """Where a config departs from its recipe's paper.

    Args:
        config: resolved, as plain dicts and lists: what `config.yaml` of a run holds.
        experiment: the recipe's name.

    Returns:
        What differs by key, then what no key says; empty for recipes of our own.

    Example:
        >>> [each.text for each in departures(config, "deeplabv1_7x7_voc")]
        ['augment.crop.height 305 (paper: 306)', 'inference.crop 513 (paper: 514)']
    """
    found = [
        Departure(row.key, row.ours, row.paper, row.source, _said(row))
        for row in contract(config, experiment)
        if not row.kept
    ]
    recipe = recipe_of(experiment)
    return found + [Departure("", "", "", "", text) for text in (recipe.departs if recipe else [])]


def _said(row: Held) -> str:
    key = "starts from" if row.key == "start" else row.key
    return f"{key} {row.ours} (paper: {row.paper})"


def departures_line(config: Mapping[str, Any], experiment: str) -> str:
    """One line for the start of a training: how many departures there are, and the first of them; "" for
    recipes of our own."""
    if recipe_of(experiment) is None:
        return ""
    found = departures(config, experiment)
    if not found:
        return "as the paper says, in every number that it gives"
    first = "; ".join(each.text for each in found[:SHOWN_AT_ONCE])
    more = "; ..." if len(found) > SHOWN_AT_ONCE else ""
    noun = "departure" if len(found) == 1 else "departures"
    return f"{len(found)} {noun} from the paper: {first}{more}; segexplain experiment={experiment} lists them"


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; `batch` and `start` are made of several. None where there is none."""
    if key == "batch":
        return config.get("batch_size", 0) * config.get("accumulate", 1)
    if key == "start":
        trained = config.get("init_from") or _pretrained(config.get("model"))
        return TRAINED if trained else RANDOM
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if isinstance(node, Mapping) and TARGET in node and key.count(".") == 0:
        return str(node[TARGET]).rpartition(".")[2]
    return "none" if key == "augment" and not node else node


def _pretrained(node: Any) -> bool:
    """Whether a model's config asks for published weights, at any depth."""
    if not isinstance(node, Mapping):
        return False
    return bool(node.get("pretrained")) or any(_pretrained(value) for value in node.values())


def _equal(ours: Any, paper: Any) -> bool:
    if isinstance(paper, Mapping):
        return isinstance(ours, Mapping) and all(_equal(ours.get(k), v) for k, v in paper.items())
    if isinstance(paper, list) and isinstance(ours, list | tuple):
        return len(ours) == len(paper) and all(map(_equal, ours, paper))
    if isinstance(paper, float) and isinstance(ours, int | float):
        return abs(ours - paper) <= 1e-9 * max(abs(paper), abs(ours))
    return ours == paper


def shown(value: Any) -> str:
    """A value as a page shows it: `1e-10`, `[6, 12, 18]`, `sxy 49, srgb 5`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else str(value)
