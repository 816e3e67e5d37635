"""The files that a command writes, and how it names them."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from segtrain.distributed import launch
from segtrain.files import user_path, write_atomically

_BEST = "best.ckpt"  # engine.checkpoint's, without importing torch


def write_yaml(config: dict[str, Any], path: Path, about: Sequence[str] = ()) -> None:
    """Writes a config on rank 0, under the lines of `about` as comments."""
    if launch.rank() == 0:
        head = "".join(f"# {line}\n" for line in about)
        text = head + yaml.safe_dump(config, sort_keys=False)
        write_atomically(path, lambda file: file.write(text.encode()))


def write_metrics(metrics: dict[str, Any], overrides: Sequence[str], folder: Path) -> None:
    """Writes `metrics.json` into a run's folder on rank 0, with the overrides that the run was given."""
    if launch.rank() == 0:
        text = json.dumps(metrics | {"overrides": list(overrides)}, indent=2)
        write_atomically(folder / "metrics.json", lambda file: file.write(text.encode()))


def has_result(folder: Path) -> bool:
    """Whether a folder's `metrics.json` holds metrics, and not why there are none."""
    try:
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "error" not in found


def checkpoint_paths(ckpt: Any) -> list[str]:
    """The paths of `ckpt=` in order: one, a list, or lists by the names of their groups. The folder of a
    sweep stands for its runs, and `*` and `?` for what they match.

    Example:
        >>> checkpoint_paths("outputs/multirun/DATE")
        ["outputs/multirun/DATE/0_fold-0", "outputs/multirun/DATE/1_fold-1"]
    """
    if isinstance(ckpt, Mapping):
        return [path for each in ckpt.values() for path in checkpoint_paths(each)]
    return [found for path in ([ckpt] if isinstance(ckpt, str) else ckpt or ()) for found in _runs(str(path))]


def _runs(path: str) -> list[str]:
    """What a path stands for: itself, the runs of a sweep, or what a pattern matches."""
    place = user_path(path)
    found = []
    if place.is_dir() and not any((place / name).is_file() for name in (_BEST, f"checkpoints/{_BEST}")):
        found = [str(run.parent.parent) for run in place.glob(f"*/checkpoints/{_BEST}")]
    elif not place.exists() and any(mark in path for mark in "*?"):
        found = glob.glob(str(place))
    return sorted(found, key=_by_number) or [path]


def _by_number(path: str) -> list[Any]:
    """What sorts run 2 before run 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]


def relative(path: Path) -> str:
    """The path as one would type it: from the working directory if it lies below, else in full."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
