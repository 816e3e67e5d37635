"""Parts of a network that are not trained (`freeze=[backbone.layer1]`)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from torch import nn

from segtrain.errors import InputError


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """Takes the gradient from parameters, and with it their state in the optimizer.

    Args:
        model: is changed in place.
        names: of modules or parameters: `backbone.layer1` is all that its parameters' names begin with.

    Raises:
        InputError: a name that no parameter's begins with, or nothing is left to train.

    Example:
        >>> freeze(model, ["backbone.conv1", "backbone.layer1"])
    """
    parameters = dict(model.named_parameters())
    for name in names:
        found = [parameter for full, parameter in parameters.items() if _within(full, name)]
        if not found:
            raise InputError(f"freeze: no parameter's name begins with {name}", do=_near(model, name))
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise InputError("freeze: leaves no parameter to train", do="leave out one of its names")


def hold_frozen(model: nn.Module, names: Sequence[str]) -> None:
    """Puts the modules within `names` into eval mode, until the model is put into training mode again:
    BatchNorm keeps its statistics, and dropout is off."""
    if names:
        for full, module in model.named_modules():
            if any(_within(full, name) for name in names):
                module.eval()


def _within(full: str, name: str) -> bool:
    return full == name or full.startswith(f"{name}.")


def _near(model: nn.Module, name: str) -> str:
    """What the user may have meant: names that are alike, or else those beside it."""
    known = [full for full, _ in (*model.named_modules(), *model.named_parameters()) if full]
    near = [full for full in known if full.endswith(f".{name}")] or difflib.get_close_matches(name, known, 3)
    if near:
        return f"did you mean {' or '.join(near[:3])}?"
    parent = name.rpartition(".")[0]
    while parent and parent not in known:
        parent = parent.rpartition(".")[0]
    beside = [child for child, module in model.get_submodule(parent).named_children() if _has_any(module)]
    return f"{parent or 'the model'} has {', '.join(beside[:12])}"


def _has_any(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
