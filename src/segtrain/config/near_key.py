"""What is proposed for a key that there is not: one that is spelled alike and takes the value."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from segtrain.config.compose import CONFIG_DIR, has_option

LEAST = 0.6  # of the spelling that the last parts of two keys share
ALMOST = 0.8  # a key spelled so alike is meant, whatever its value
MOST = 5  # candidates that are looked at


def near_key(key: str, given: str | None, config: Mapping[Any, Any], keys: Iterable[str]) -> str | None:
    """The key that was meant, if one is alike.

    Args:
        key: that there is not.
        given: the value on the command line; None where there is none, as in `~key`.
        config: composed, with the values of the keys.
        keys: that there are, dotted, groups among them.

    Example:
        >>> near_key("lrr", "0.1", config, ["optimizer.lr", "optimizer"])
        'optimizer.lr'
    """
    known = [one for one in keys if one != key and not _last(one).startswith("_")]
    last = _last(key)
    beside = [one for one in known if one.partition(".")[0] == key.partition(".")[0]] if "." in key else known
    found = [
        *difflib.get_close_matches(key, [one for one in known if _last(one) == last], MOST, 0),
        *(one for one in difflib.get_close_matches(key, known, MOST) if _alike(last, _last(one)) > LEAST),
        *_by_last(last, beside),
    ]
    return next((one for one in found if _takes(one, given, config, _alike(key, one))), None)


def _last(key: str) -> str:
    return re.split(r"[./]", key)[-1]


def _by_last(last: str, keys: list[str]) -> list[str]:
    """Those whose last part is almost `last`, the best first."""
    close = difflib.get_close_matches(last, {_last(one) for one in keys}, MOST, ALMOST)
    return [one for part in close for one in keys if _last(one) == part]


def _alike(key: str, other: str) -> float:
    return difflib.SequenceMatcher(None, key, other).ratio()


def _takes(key: str, given: str | None, config: Mapping[Any, Any], alike: float) -> bool:
    """Whether `key=given` is of the right form."""
    if given is None or given == "null":
        return True
    if os.path.isdir(CONFIG_DIR / key):
        options = [one.strip(" []") for one in given.split(",")]
        return all(one.endswith((".yaml", ".yml")) or has_option(key, one) for one in options)
    now = _at(key, config)
    if isinstance(now, Mapping):
        return given.startswith("{")
    return alike >= ALMOST or _of_a_kind(_parsed(given), now)


def _of_a_kind(value: Any, now: Any) -> bool:
    """Whether a value is of the type of that which a key has now; a text may stand for anything."""
    if now is None or isinstance(now, str):
        return True
    if isinstance(now, int | float) and not isinstance(now, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type(now))


def _at(key: str, config: Any) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def _parsed(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]?\d+", value, re.IGNORECASE)
    return float(value) if number else value
