"""The files that a command writes, and how it names them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from segtrain.distributed import launch
from segtrain.files import write_atomically


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


def relative(path: Path) -> str:
    """The path as one would type it: from the working directory if it lies below, else in full."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
