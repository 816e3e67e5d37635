"""What the Python API is given, as the command line's arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segtrain.config.data_file import adopt_data_files
from segtrain.config.no_option import settle_empty_groups
from segtrain.config.overrides import as_overrides
from segtrain.errors import InputError


def given_arguments(root: str, keys: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Keywords and overrides as arguments.

    Args:
        root: of the configs: `train` or `eval`.
        keys: `__` in a key is a dot.
        overrides: as on the command line.

    Raises:
        InputError: the overrides are no list, or a file of data cannot be read.

    Example:
        >>> given_arguments("train", {"optimizer__lr": 1e-3}, ["max_steps=3"])
        ['optimizer.lr=0.001', 'max_steps=3']
    """
    if isinstance(overrides, str):
        raise InputError(f"overrides={overrides!r}", do=f"give a list of them, [{overrides!r}]")
    return adopt_data_files(settle_empty_groups(root, [*as_overrides(keys), *overrides]))
