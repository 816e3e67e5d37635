"""The recipes of papers (`experiment=`), found by the model and the data that somebody chose."""

import re
from collections.abc import Mapping
from pathlib import Path

from segtrain.config.compose import CONFIG_DIR

COMMAND = re.compile(r"\bsegtrain((?: [\w./]+=\S+)+)")
EMBEDDED = "shapes"  # which no paper has trained on


def recipes_for(choices: Mapping[str, str | None]) -> list[str]:
    """The experiments that train a model on a data set or a variant of it, voc_aug for voc.

    Args:
        choices: the options of the groups: `{"model": "deeplabv1", "data": "voc"}`.

    Returns:
        Their names, in order; none where an experiment was chosen.

    Example:
        >>> recipes_for({"model": "deeplabv1", "data": "voc"})
        ['deeplabv1_voc']
    """
    model, data = choices.get("model"), (choices.get("data") or "").partition("_")[0]
    if choices.get("experiment") or not data or data == EMBEDDED:
        return []
    return [name for name, of in _recipes(model) if of.get("data", "").partition("_")[0] == data]


def recipes_of_model(model: str | None) -> list[str]:
    """The experiments that train a model, on whatever data. Example: `["deeplabv1_voc"]` for `deeplabv1`."""
    return [name for name, _ in _recipes(model)]


def _recipes(model: str | None) -> list[tuple[str, dict[str, str]]]:
    """Name and options of each experiment of a model, in order."""
    found = []
    for path in sorted((CONFIG_DIR / "experiment").glob("*.yaml")):
        if path.stem.startswith("lesson_"):
            continue
        of = dict(re.findall(r"override /(model|data): (\w+)", path.read_text(encoding="utf-8")))
        if of.get("model") == model:
            found.append((path.stem, of))
    return found


def recipe_command(name: str) -> list[str]:
    """The overrides of the command in a recipe's header: `["experiment=fcn32s_voc", "data.root=DIR", ...]`.

    Args:
        name: of the experiment; of several commands in its header the last one that names it.
    """
    lines = (CONFIG_DIR / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    header = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    commands = [found.split() for found in COMMAND.findall(header)]
    return [words for words in commands if f"experiment={name}" in words][-1]


def recipes_of(model: str) -> list[str]:
    """The experiments that train a model, on whatever data: `["deeplabv1_voc"]` for deeplabv1."""
    folder = CONFIG_DIR / "experiment"
    return [path.stem for path in sorted(folder.glob("*.yaml")) if _trained(path) == model]


def _trained(path: Path) -> str | None:
    """The model of a recipe's file: its own, or that of the recipe that it builds on."""
    text = path.read_text(encoding="utf-8")
    if found := re.search(r"override /model: (\w+)", text):
        return found[1]
    base = re.search(r"^  - (\w+)$", text, re.M)
    return _trained(path.with_name(f"{base[1]}.yaml")) if base else None
