"""Who may import whom (CONTRIBUTING, "The house"), checked on the code itself."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "segtrain"
FILES = sorted(SRC.rglob("*.py"))
ENTRANCES = ("__init__", "__main__")  # of the package: they import what they like, lazily

SHARED = {
    "contracts",
    "downloads",
    "errors",
    "files",
    "input_spec",
    "progress",
    "wording",
    "seeds",
    "version",
}  # single files that every room may import

# room -> rooms of segtrain that it may import besides itself and the shared files
MAY_IMPORT = {
    "api": {
        *("commands", "config", "data", "distributed", "engine", "evaluation", "inference"),
        *("backbones", "tasks", "viz"),
    },
    "cli": {"commands", "config", "distributed", "loggers", "papers", "viz"},
    "config": set(),
    "commands": {
        *("config", "converters", "crf", "data", "distributed", "engine", "evaluation", "export"),
        *("anatomy", "demo", "layers", "loggers", "losses", "metrics"),
        *("papers", "reports", "serve", "sizes", "tasks", "viz", "weights"),
    },
    "engine": {"distributed", "loggers", "losses"},
    "evaluation": {"crf", "distributed", "engine", "inference", "metrics", "sizes", "tasks", "viz"},
    "export": {"layers", "sizes", "tasks"},
    "converters": {"layers", "models", "weights"},
    "loggers": set(),
    "viz": set(),
    "papers": set(),
    "demo": {"crf", "data", "viz"},
    "serve": {"viz"},
    "anatomy": {"layers", "sizes"},
    "reports": {"papers", "viz"},
    "distributed": set(),
    "models": {"layers", "weights"},
    "backbones": {"layers", "weights"},
    "layers": set(),
    "data": set(),
    "crf": set(),
    "inference": {"data", "layers", "sizes"},
    "losses": {"sizes", "tasks"},
    "metrics": set(),
    "sizes": set(),
    "tasks": {"sizes"},
    "optim": set(),
    "schedules": set(),
    "weights": set(),
} | dict.fromkeys(SHARED, SHARED)


def module(path: Path) -> str:
    """`models/fcn.py` as `segtrain.models.fcn`."""
    parts = ("segtrain", *path.relative_to(SRC).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def imported(path: Path) -> set[str]:
    """The modules that a file names in its imports, wherever they stand."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in below}
    return names


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_room_imports_only_the_rooms_it_may(path):
    if room(path) in ENTRANCES:
        return
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("segtrain.")}
    assert rooms <= MAY_IMPORT[room(path)] | SHARED | {room(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_only_the_command_line_and_the_configs_know_of_hydra(path):
    packages = {name.split(".")[0] for name in imported(path)}
    assert room(path) in ("cli", "config") or not packages & {"hydra", "omegaconf"}


def test_no_model_imports_another_model():
    for path in (SRC / "models").glob("*.py"):
        assert not any(name.startswith("segtrain.models") for name in imported(path))


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """What can be reached from itself."""

    def reached(start: str) -> set[str]:
        seen, todo = set(), list(arrows[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += arrows.get(name, ())
        return seen

    return [name for name in arrows if name in reached(name)]


def test_no_rooms_import_each_other_in_a_circle():
    arrows = defaultdict(set)
    for path in FILES:
        if room(path) not in ENTRANCES:
            rooms = {name.split(".")[1] for name in imported(path) if name.startswith("segtrain.")}
            arrows[room(path)] |= rooms - {room(path)}
    assert circles(arrows) == []


def test_no_files_import_each_other_in_a_circle():
    arrows = {name: imported(path) & MODULES.keys() - {name} for name, path in MODULES.items()}
    assert circles(arrows) == []


def test_every_public_name_is_defined_once():
    """No function or class of one room has the name of another room's."""
    defined = defaultdict(set)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].add(room(path))
    twice = {name: rooms for name, rooms in defined.items() if len(rooms) > 1}
    assert twice == {}


def test_files_and_functions_stay_small():
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 320, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 70, f"{path}: {node.name}"


def test_what_a_data_set_may_lack_is_asked_by_protocol():
    """`isinstance(split, HasPairs)` (contracts/optional.py) instead of a method's name in a string."""
    for path in (SRC / "data").rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "hasattr" not in names, path


def test_only_one_place_looks_for_the_home_folder():
    words = re.compile(r"expanduser|Path\.home|XDG_CACHE_HOME\"")
    assert [path.name for path in FILES if words.search(path.read_text())] == ["files.py"]
