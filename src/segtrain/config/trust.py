"""What `trust=` may open: a package of the user's, and in it classes that satisfy a contract."""

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from segtrain import contracts
from segtrain.errors import DISTRIBUTION, InputError

# What a class must offer to be built for a group; below a group's own node any of them.
CONTRACTS = {
    "model": contracts.Model,
    "data": contracts.Dataset,
    "inference": contracts.Inference,
    "loss": contracts.Loss,
}
INSTALLED = ("site-packages", "dist-packages")  # folders of other people's packages


def check_package(trust: str | None) -> None:
    """Raises InputError where `trust` is no name of a package, or that of Python's, segtrain's or a
    library that segtrain needs."""
    if trust is None:
        return
    top = trust.partition(".")[0]
    if not all(part.isidentifier() for part in trust.split(".")):
        raise InputError(f"trust must be the name of a package, got {trust!r}", do="give it as in `import`")
    owner = "Python's" if top in sys.stdlib_module_names else "segtrain's" if top == "segtrain" else None
    if owner is None and top in _libraries():
        owner = "a library's"
    if owner:
        raise InputError(f"trust must be a package of your own, got {owner} {trust}", do="leave trust= out")


def advice(target: str) -> str:
    """What to do about a checkpoint that names other code: `trust=` is proposed for what may be the
    user's own package, and neither for Python's nor for an installed one."""
    top = target.partition(".")[0]
    if not re.fullmatch(r"\w+(\.\w+)+", target) or top in sys.stdlib_module_names or top == "segtrain":
        return "do not use it"
    if _is_installed(top):
        return "do not use it, unless you know who made it"
    return f"if you trust its author with this machine, add trust={top}"


def check_class(target: str, key: str, trust: str) -> None:
    """Raises InputError unless a trusted package's target is a class of its own that satisfies a contract.

    Args:
        target: the dotted path; where nothing is there, building it says so.
        key: where it stands: `config.model.backbone`.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return
    where = f"the checkpoint's {key}._target_={target}"
    if not isinstance(found, type):
        raise InputError(f"{where} is no class, and trust= opens nothing else", do="do not use it")
    if found.__module__ != trust and not found.__module__.startswith(f"{trust}."):
        raise InputError(f"{where} is not defined in {trust} but in {found.__module__}", do="do not use it")
    group = key.split(".")[1:]
    wanted = [CONTRACTS[group[0]]] if len(group) == 1 and group[0] in CONTRACTS else CONTRACTS.values()
    missing = [_members(contract) - _offered(found) for contract in wanted]
    if all(missing):
        fewest: set[str] = min(missing, key=len)
        raise InputError(
            f"{where} lacks {', '.join(sorted(fewest))}",
            do="give the class what segtrain.contracts asks of it",
        )


def _members(contract: Any) -> set[str]:
    """The names that a contract asks for."""
    names = {*vars(contract), *contract.__annotations__}
    return {name for name in names if not name.startswith("_") or name == "__call__"}


def _offered(found: type) -> set[str]:
    """The names that a class's objects have: its own, and those that its methods set."""
    names: set[str] = set()
    for base in found.__mro__[:-1]:
        names |= {*vars(base), *getattr(base, "__annotations__", ())}
        for value in vars(base).values():
            code = getattr(value, "__code__", None)
            names |= set(code.co_names) if isinstance(code, CodeType) else set()
    return names


@cache
def _libraries() -> frozenset[str]:
    """The packages of what segtrain needs, and of what that needs."""
    todo, needed = [DISTRIBUTION], set[str]()
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name not in needed:
            needed.add(name)
            try:
                wanted = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                continue
            todo += [match[0] for text in wanted if (match := re.match(r"[\w.-]+", text))]
    packages = importlib.metadata.packages_distributions()
    own = {re.sub(r"[-_.]+", "-", DISTRIBUTION).lower()}
    return frozenset(
        package
        for package, names in packages.items()
        if {re.sub(r"[-_.]+", "-", name).lower() for name in names} & (needed - own)
    )


def _is_installed(top: str) -> bool:
    """Whether a package lies where packages are installed; nothing is imported for it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    locations = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    return any(part in INSTALLED for at in locations if at for part in Path(at).parts)
