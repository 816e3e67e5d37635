"""The recipes of papers (`experiment=`), found by the model and the data that somebody chose."""

import re
from collections.abc import Mapping

from segtrain.config.compose import CONFIG_DIR

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
        of = dict(re.findall(r"override /(model|data): (\w+)", path.read_text(encoding="utf-8")))
        if of.get("model") == model:
            found.append((path.stem, of))
    return found
