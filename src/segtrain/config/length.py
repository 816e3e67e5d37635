"""How long a training is: `max_steps` and `max_epochs`, of which the command line's counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segtrain.errors import InputError

KEYS = ("max_steps", "max_epochs")
OVERFIT_STEPS = 500  # of `debug=overfit`, where the command line says no other number
LIMIT_STEPS = 8  # of `debug=limit`


def settle_length(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Leaves one of `max_steps` and `max_epochs`: the one on the command line replaces a recipe's other.

    Args:
        values: a composed config; is changed in place. Both may stand in a checkpoint's: then `max_steps`
            is what `max_epochs` came to.
        overrides: that it was composed by.

    Raises:
        InputError: both are on the command line.

    Example:
        >>> values = {"max_steps": 6000, "max_epochs": 3}
        >>> settle_length(values, ["experiment=deeplabv1_voc", "max_epochs=3"])
        >>> values
        {"max_steps": None, "max_epochs": 3}
    """
    named = {override.partition("=")[0].lstrip("+") for override in overrides}
    given = [key for key in KEYS if key in named and values.get(key) is not None]
    if len(given) > 1:
        both = " ".join(f"{key}={values[key]}" for key in given)
        raise InputError(f"{both}: a training has one length", do="give one of them")
    if given:
        values.update(dict.fromkeys(set(KEYS) - set(given)))
    elif values.get("debug"):  # a recipe's number is not meant for it
        values["max_steps"] = OVERFIT_STEPS if values["debug"] == "overfit" else LIMIT_STEPS
        values["max_epochs"] = None
