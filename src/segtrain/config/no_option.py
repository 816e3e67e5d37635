"""`crops=null`, `model=null`, `~loss`: a group without an option, taken where a command can do without; and
`model=[unet,segnet]`, of which Hydra would make one model by mixing both."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import yaml

from segtrain.config.compose import CONFIG_DIR
from segtrain.errors import InputError

LISTS = ("metric", "logger")  # of which there may be none
SEVERAL = (*LISTS, "loss", "augment")  # whose options are added to one another
NOTHING = ("null", "[]")


def settle_empty_groups(root: str, arguments: Iterable[str]) -> list[str]:
    """Writes `group=null` as Hydra takes it, where the group may be empty.

    Args:
        root: the root config, `train` or `eval`; what has no option there may be empty, as may lists.
        arguments: of the command line.

    Returns:
        The same arguments but for those: `crops=[]` for `crops=null`.

    Raises:
        InputError: the command needs an option of the group, null is in a list of options, or there are
            several of a group that takes one.

    Example:
        >>> settle_empty_groups("train", ["model=unet", "crops=null"])
        ["model=unet", "crops=[]"]
    """
    return [_settled(root, argument) for argument in arguments]


def _settled(root: str, argument: str) -> str:
    found = re.fullmatch(r"(\+{0,2})([a-z_/]+)=(.*)", argument)
    if removed := re.fullmatch(r"~([a-z_/]+)(=.*)?", argument):
        _check(root, removed[1], argument)
        return argument
    if found is None or not _is_group(found[2]):
        return argument
    group, values = found[2], re.findall(r"\[[^\]]*\]|[^,]+", found[3])  # several are a sweep's
    mixed = [value for value in values if value.startswith("[") and "," in value]
    if mixed and group not in SEVERAL:
        do = f"give one, or a run of each by -m {group}={mixed[0].strip('[]')}"
        raise InputError(f"{group} must be one of its options, got {found[3]}", do=do)
    if not re.search(r"\bnull\b|^\[\s*\]$", found[3]):
        return argument
    if any(re.search(r"\bnull\b", value) for value in values if value.startswith("[")):
        raise InputError(f"{group} must be a list of options, got {found[3]}", do="leave null out")
    if any(value.strip() in NOTHING for value in values):
        _check(root, group, found[3])
    return f"{found[1]}{group}={','.join('[]' if value.strip() == 'null' else value for value in values)}"


def _check(root: str, group: str, given: str) -> None:
    """Raises InputError where the command needs an option of the group."""
    if _is_group(group) and group not in _may_be_empty(root):
        options = ", ".join(sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")))
        raise InputError(f"{group} must be one of its options, got {given}", do=f"there are {options}")


def _is_group(name: str) -> bool:
    return (CONFIG_DIR / name).is_dir()


@cache
def groups_of(root: str) -> dict[str, Any]:
    """The groups of a root config and the option that each has by default.

    Example:
        >>> groups_of("train")["model"]
        'fcn8s'
    """
    defaults = yaml.safe_load((CONFIG_DIR / f"{root}.yaml").read_text(encoding="utf-8"))["defaults"]
    entries = (item for entry in defaults if isinstance(entry, dict) for item in entry.items())
    return {group: option for group, option in entries if not group.startswith("override ")}


@cache
def _may_be_empty(root: str) -> frozenset[str]:
    empty = {group for group, option in groups_of(root).items() if not option}
    return frozenset(empty - ({"model"} if root == "import" else set()) | set(LISTS))
