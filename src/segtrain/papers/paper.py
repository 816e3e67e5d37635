"""The papers as data: what they say in numbers, with section, table or released file (`*.yaml` beside)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parent


class Fact(NamedTuple):
    """A number of a paper, and where it stands."""

    name: str
    value: Any
    source: str


class Recipe(NamedTuple):
    """A training as the paper or its released code describes it.

    Attributes:
        facts: by key of the config; `batch` is what one step sees, `start` is `trained weights` or
            `random weights`.
        departs: what ours does otherwise, where no key says it.
        unstated: keys that the paper does not give; ours are our choice.
    """

    facts: list[Fact]
    departs: list[str]
    unstated: list[str]


class Paper(NamedTuple):
    """A paper.

    Attributes:
        name: of its file. parents: the papers that it builds on, by name.
        models: the options of `model=` that are its own.
        idea: in a sentence.
        architecture: numbers of the network, its initial values and its evaluation.
        recipes: by the name of the experiment.
        scores: published: each a mapping with `recipe`, `data`, a metric or several, and `source`.
    """

    name: str
    title: str
    authors: str
    published: str
    link: str
    parents: list[str]
    models: list[str]
    idea: str
    architecture: list[Fact]
    recipes: dict[str, Recipe]
    scores: list[dict[str, Any]]

    @property
    def year(self) -> int:
        """When it was first published."""
        return int(next(word for word in self.published.replace(";", " ").split() if word.isdigit()))


@cache
def papers() -> dict[str, Paper]:
    """All papers, by name, the oldest first.

    Example:
        >>> papers()["fcn"].recipes["fcn32s_voc"].facts[0]
        Fact(name='batch', value=1, source='solver.prototxt')
    """
    read = [_paper(path) for path in sorted(FOLDER.glob("*.yaml"))]
    return {paper.name: paper for paper in sorted(read, key=lambda paper: (paper.year, paper.name))}


def paper_of(model: str) -> Paper | None:
    """The paper of an option of `model=`; None for models that have none here."""
    return next((paper for paper in papers().values() if model in paper.models), None)


def recipe_of(experiment: str) -> Recipe | None:
    """What the paper says of a recipe, by its name; None for recipes of our own."""
    for paper in papers().values():
        if experiment in paper.recipes:
            return paper.recipes[experiment]
    return None


def _paper(path: Path) -> Paper:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipes = {name: _recipe(node) for name, node in values.pop("recipes").items()}
    return Paper(name=path.stem, architecture=_facts(values.pop("architecture")), recipes=recipes, **values)


def _recipe(node: dict[str, Any]) -> Recipe:
    departs, unstated = node.pop("departs", []), node.pop("unstated", [])
    return Recipe(_facts(node), departs, unstated)


def _facts(node: Mapping[str, Any]) -> list[Fact]:
    return [Fact(name, *pair) for name, pair in node.items()]
