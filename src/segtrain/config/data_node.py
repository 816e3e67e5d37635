"""The config of `data` to a data set: its own keys, and those of folds that every data set takes."""

import inspect
from collections.abc import Mapping
from typing import Any

from segtrain.config.instantiate import TARGET, instantiate, locate

FOLDED = "segtrain.data.datasets.folds.Folded"
FOLD_KEYS = ("folds", "fold", "group")
SHARED = ("val_fraction", "seed")  # that the folds take from the data set, where it has them


def own_keys(node: Mapping[str, Any]) -> dict[str, Any]:
    """A data set's config without the keys of folds that are not its own."""
    own = inspect.signature(locate(node[TARGET], "data")).parameters if TARGET in node else {}
    return {key: value for key, value in node.items() if key not in FOLD_KEYS or key in own}


def make_data(node: Mapping[str, Any]) -> Any:
    """The data set of a plain config, in folds where `folds` or `group` is set and it has none of its own.

    Raises:
        InputError: as `instantiate`.
    """
    plain = own_keys(node)
    keys = {key: value for key, value in node.items() if key not in plain}
    data = instantiate(plain, "data")
    if keys.get("folds") is None and keys.get("group") is None:
        return data
    shared = {key: node[key] for key in SHARED if key in node}
    return instantiate({TARGET: FOLDED, "data": data, **shared, **keys}, "data")
