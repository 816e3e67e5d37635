"""Who may import whom (CONTRIBUTING, "The house"), checked on the code itself."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "segtrain"
FILES = sorted(SRC.rglob("*.py"))

SHARED = {"contracts", "errors", "files", "progress", "seeds"}  # single files that every room may import

# room -> rooms of segtrain that it may import besides itself
MAY_IMPORT = {
    "cli": {"commands", "config", "distributed", "errors", "loggers"},
    "config": {"errors"},
    "commands": {
        *("config", "converters", "crf", "data", "distributed", "engine", "errors", "evaluation", "export"),
        *("loggers", "losses", "metrics", "viz"),
    },
    "engine": {"data", "distributed", "errors", "evaluation", "loggers"},
    "evaluation": {
        *("crf", "data", "distributed", "engine", "inference", "loggers", "metrics", "sizes", "viz"),
    },
    "viz": {"data", "errors", "evaluation"},
    "loggers": {"viz"},
    "distributed": {"errors"},
    "export": {"errors", "sizes"},
    "models": {"layers", "errors"},
    "backbones": {"layers", "weights", "errors"},
    "layers": {"errors"},
    "data": {"errors"},
    "crf": {"errors"},
    "inference": {"data", "errors", "layers", "sizes"},
    "losses": {"sizes", "errors"},
    "sizes": {"kernels"},
    "metrics": {"data", "kernels"},
    "kernels": set(),
    "optim": {"errors"},
    "schedules": set(),
    "converters": {"layers", "weights", "errors"},
    "weights": {"errors"},
    "errors": set(),
    "contracts": set(),
    "files": set(),
    "progress": set(),
    "seeds": set(),
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    return names | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_room_imports_only_the_rooms_it_may(path):
    if room(path) in ("__init__", "__main__"):
        return
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("segtrain.")}
    assert rooms <= MAY_IMPORT[room(path)] | SHARED | {room(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_only_the_command_line_knows_of_hydra(path):
    packages = {name.split(".")[0] for name in imported(path)}
    assert room(path) in ("cli", "config") or not packages & {"hydra", "omegaconf"}


def test_the_engine_knows_no_data_set():
    for path in (SRC / "engine").glob("*.py"):
        of_data = {name for name in imported(path) if name.startswith("segtrain.data")}
        assert of_data == set()


def test_no_model_imports_another_model():
    for path in (SRC / "models").glob("*.py"):
        assert not any(name.startswith("segtrain.models") for name in imported(path))
