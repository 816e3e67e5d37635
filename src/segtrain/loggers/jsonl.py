"""`metrics.jsonl`: a line for each logged step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from segtrain.contracts import RunInfo
from segtrain.files import write_atomically

METRICS_FILE = "metrics.jsonl"
# The curves of single classes are in no line: metrics.json has the last ones.
SPLITS = ("train", "val", "test")


class JSONL:
    """Writes `metrics.jsonl` into the run's folder: `{"step": 10, "split": "train", "loss": 0.7}`."""

    def __init__(self) -> None:
        self._file: TextIO | None = None

    def start(self, run: RunInfo) -> None:
        """Removes the lines of steps after the one that the run was resumed at."""
        path = run.folder / METRICS_FILE
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        kept = [line for line, values in read_lines(path) if values["step"] <= run.step]
        if kept != lines:
            write_atomically(path, lambda file: file.write("".join(kept).encode()))
        self._file = open(path, "a", encoding="utf-8")

    def log_scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Writes a line."""
        if split in SPLITS and self._file is not None:
            self._file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
            self._file.flush()

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Leaves images out."""

    def log_hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Leaves them out: config.yaml and metrics.json have them."""

    def flush(self) -> None:
        """Nothing to do: every line is flushed."""

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The whole lines of a metrics.jsonl, each with its values; a kill may have cut the last one."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [(line, json.loads(line)) for line in lines if line.endswith("\n")]
