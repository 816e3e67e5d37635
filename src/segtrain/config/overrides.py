"""From keyword arguments to the command line's overrides."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from segtrain.config.compose import CONFIG_DIR, SAVED_GROUPS
from segtrain.config.data_node import FOLD_KEYS
from segtrain.config.instantiate import fits
from segtrain.config.schema import GROUPS, TYPES
from segtrain.errors import InputError
from segtrain.files import quoted_for_hydra

TIMM = "timm/"  # before the names of timm's networks, among those of ours
ITEM = re.compile(r"""[\[\]{},]|\s+|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\[\]{},\s][^\[\]{},]*""")
PLAIN = re.compile(r"[\w./+:,@%-]*", re.ASCII).fullmatch  # which needs no look
MAY_BE_NO_TEXT = re.compile(r"(?:^|[\[{,:\s])(?:[+-]?[.\d]|[+-]?inf|nan|true|false)", re.IGNORECASE).search
OF_DATA = (
    "root images masks mask_suffix annotations val_annotations test_annotations train_split val_split"
    " test_split class_names image_column mask_column"
)
TEXTS = (
    {"hydra.run.dir", "hydra.sweep.dir", "to"}
    | {f"data.{name}" for name in OF_DATA.split()}
    | {
        key
        for key, of in TYPES.items()
        if (fits("a", of) or fits(["a"], of)) and not fits(1, of) and not fits([1], of)
    }
)  # where a folder called 2024_01 is no number


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
        if isinstance(value, Mapping) and all(re.fullmatch(r"[A-Za-z_]\w*", str(k)) for k in value):
            values += as_overrides({f"{name}.{k}": v for k, v in value.items()})
        elif (CONFIG_DIR / group).is_dir() and _are_options(value):
            options.append(f"{group}={_option(value)}")
        else:
            values.append(f"{name}={_value(value)}")
    return options + values


def backbone_choice(backbone: str | dict[str, Any] | None) -> tuple[str | None, dict[str, Any]]:
    """The option of `model/backbone` and the keys that `build_model(backbone=...)` means.

    Raises:
        InputError: neither a name nor a dict.
    """
    if not isinstance(backbone, str | dict | None):
        raise InputError(f"backbone={backbone!r}", do="give a name, or a dict of the backbone's keys")
    keys = dict(backbone) if isinstance(backbone, dict) else {}
    name = backbone if isinstance(backbone, str) else str(keys.get("name", ""))
    if name.startswith(TIMM):
        return "timm", keys | {"name": name.removeprefix(TIMM)}
    return (backbone if isinstance(backbone, str) else None), keys


def unquote_keys(argument: str) -> str:
    """An override whose value is a dict with keys in quotes, in Hydra's grammar, which has none there.

    Example:
        >>> unquote_keys('data.label_map={"255,0,0":1}')
        "data.label_map={255\\,0\\,0:1}"
    """
    key, equals, value = argument.partition("=")
    if not value.startswith("{"):
        return argument
    quoted = re.compile(r"""(?<=[{,])\s*(["'])((?:(?!\1).)*)\1\s*(?=:)""")
    return f"{key}{equals}{quoted.sub(lambda found: _key(found[2]), value)}"


def add_fold_keys(argument: str) -> str:
    """An override of data.folds, data.fold or data.group with the `++` that lets any data set have it."""
    key = argument.partition("=")[0]
    return f"++{argument}" if key in {f"data.{name}" for name in FOLD_KEYS} else argument


def quote_values(arguments: Sequence[str]) -> list[str]:
    """Overrides with those values in quotes that Hydra's grammar has no place for: paths and names with
    blanks, brackets, `=`, or letters that are not English ones, also in lists, dicts and sweeps. Likewise
    numbers where a key takes a text: of a folder `2024_01` Hydra would make 202401.

    Example:
        >>> quote_values(["data.root=my photos (1)", "data.class_names=[road,Straße]"])
        ["data.root='my photos (1)'", "data.class_names=[road,'Straße']"]
    """
    sweeps = bool({"-m", "--multirun"} & set(arguments))
    return [_quoted(argument, sweeps) for argument in arguments]


def _quoted(argument: str, sweeps: bool) -> str:
    key, equals, value = argument.partition("=")
    if value != value.strip() and Path(value).exists():  # blanks at its ends, which Hydra would take off
        return f"{key}={_value(value)}"
    if not equals or argument.startswith("-") or value[:1] in ("", "(", "'", '"', "$"):
        return argument
    may_be = MAY_BE_NO_TEXT(value) and not set("($") & set(value)
    others = _no_texts(key.lstrip("+")) if may_be else ()
    if not others and (PLAIN(value) or _parses(argument)):
        return argument
    if sweeps or value[0] in "[{":
        quoted = _items_quoted(value, others)
    elif others and _parses(argument):
        quoted = _item_quoted(value, others)
    else:
        quoted = _value(value)
    return f"{key}={quoted}" if _parses(f"{key}={quoted}") else argument


def _items_quoted(value: str, others: Collection[type]) -> str:
    """A list or dict whose items are in quotes where they must be, or are of one of the other types."""
    parts, within = [], []
    for part in ITEM.findall(value):
        if part in "[{":
            within.append(part)
        elif part in "]}" and within:
            within.pop()
        elif part[0] not in "[]{},'\"" and not part.isspace():
            name, colon, rest = part.partition(":") if within[-1:] == ["{"] else ("", "", part)
            part = name + colon + (_item_quoted(rest, others) if rest.strip() else rest)
        parts.append(part)
    return "".join(parts)


def _item_quoted(text: str, others: Collection[type]) -> str:
    fine = _parses(f"x={text}") and not (others and type(_read(text)) in others)
    return text if fine else _value(text.strip())


def _no_texts(key: str) -> Collection[type]:
    """What Hydra may make of a value that its key takes as it was typed."""
    if key in GROUPS or "/" in key:
        return int, float, bool
    return (int, float) if key in TEXTS else ()


def _read(text: str) -> Any:
    return OverridesParser.create().parse_override(f"x={text}").value()


def _parses(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True


def complete_overrides(root: str, overrides: Sequence[str]) -> list[str]:
    """Adds `++` where a key is the checkpoint's: those of `eval` come from it."""
    overrides = [add_fold_keys(override) for override in overrides]
    if root == "train":
        return overrides
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
    if hasattr(value, "tolist"):  # a number or an array of NumPy or torch
        value = value.tolist()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(str(k))}:{_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    text = str(Path(value)) if isinstance(value, Path) else str(value)
    return quoted_for_hydra(text)


def _key(text: str) -> str:
    """A dict's key in Hydra's grammar: what would end it has a backslash before it."""
    return re.sub(r"([\\,:{}\[\]()= ])", r"\\\1", text)
