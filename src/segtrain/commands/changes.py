"""In what the configs of two runs differ, and what of it a run that goes on may not change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

# They decide every step, or which tensors the optimizer has.
FIXED = "seed width task model data crops augment loss freeze freeze_norm".split()
SAID = ("root", "download", "pretrained")  # below those: where things come from
LISTS = ("loss", "metric", "logger")  # groups of several options, each under its name
ABSENT = "absent"


class Change(NamedTuple):
    """A key whose value is another one than before."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} was {_text(self.before)}, is {_text(self.now)}"

    @property
    def is_fixed(self) -> bool:
        """Whether a run that goes on with it would be neither run's."""
        group, _, rest = self.key.partition(".")
        name = self.key.rpartition(".")[2]
        if group in FIXED:
            return name not in SAID
        if group == "init_from":  # the weights are those of the run that goes on
            return self.before is None
        if group == "schedule":
            return not rest
        if group == "optimizer":
            started = name == "momentum" and not (self.before and self.now)  # its tensors are missing
            return started or not (_is_numeric(self.before) and _is_numeric(self.now))
        return False


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The keys of two configs whose values differ, those that only one has among them."""
    return _differences(json.loads(json.dumps(dict(before))), json.loads(json.dumps(dict(now))), "")


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str) -> list[Change]:
    found = []
    for key in dict.fromkeys([*before, *now]):
        a, b, name = before.get(key, ABSENT), now.get(key, ABSENT), f"{prefix}{key}"
        if a == b:
            continue
        if not (isinstance(a, dict) and isinstance(b, dict)) or a.get("_target_") != b.get("_target_"):
            found.append(Change(name, _shown(a), _shown(b)))
        elif name in LISTS and a.keys() != b.keys():
            found.append(Change(name, list(a), list(b)))
        else:
            found += _differences(a, b, f"{name}.")
    return found


def _shown(value: Any) -> Any:
    """A node by its class."""
    return str(value["_target_"]) if isinstance(value, dict) and "_target_" in value else value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float) and not isinstance(value, bool)
