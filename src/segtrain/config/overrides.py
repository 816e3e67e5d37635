"""From keyword arguments to the command line's overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrain.config.compose import CONFIG_DIR, SAVED_GROUPS


def as_overrides(keys: Mapping[str, Any]) -> list[str]:
    """Keyword arguments as overrides.

    Args:
        keys: `__` in a key is a dot; a dict's keys are those of a group; `model="unet"` chooses an option.

    Returns:
        Such as `["model=unet", "optimizer.lr=0.001"]`; options of groups come first.

    Example:
        >>> as_overrides({"optimizer__lr": 1e-3, "model": "unet"})
        ["model=unet", "optimizer.lr=0.001"]
    """
    options, values = [], []
    for key, value in keys.items():
        name = key.replace("__", ".")
        group = name.replace(".", "/")
        if isinstance(value, Mapping):
            values += as_overrides({f"{name}.{k}": v for k, v in value.items()})
        elif (CONFIG_DIR / group).is_dir() and _are_options(value):
            options.append(f"{group}={_option(value)}")
        else:
            values.append(f"{name}={_value(value)}")
    return options + values


def complete_overrides(root: str, overrides: Sequence[str]) -> list[str]:
    """Adds `++` where a key is the checkpoint's: those of `eval` come from it."""
    if root == "train":
        return list(overrides)
    group_key = re.compile(rf"({'|'.join(SAVED_GROUPS)})\.")
    return [f"++{o}" if group_key.match(o) else o for o in overrides]


def _are_options(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    )


def _option(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else f"[{','.join(value)}]"


def _value(value: Any) -> str:
    """A value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    text = str(Path(value)) if isinstance(value, Path) else str(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
