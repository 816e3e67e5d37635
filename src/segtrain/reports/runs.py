"""Reads runs from their folders, whatever is left of them."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from segtrain.errors import InputError, reading_reason, shorten
from segtrain.files import user_path
from segtrain.reports.kept import Kept, read_kept

METRICS, STEPS, CONFIG = "metrics.json", "metrics.jsonl", "config.yaml"
OF_A_RUN = (METRICS, STEPS, CONFIG, "train.log", "eval.log")
TABLES = ("conventions", "cost", "made_by", "trimap_mean_iou")  # of metrics.json
DEPTH = 2  # folders below one that is named where runs are looked for: outputs/MODEL_DATA/DATE


@dataclass
class Run:
    """A run, as far as its folder says.

    Attributes:
        folder: of the run.
        name: short, unique among those that were read.
        metrics: of `metrics.json`, `mean_iou` the network's; empty where there is none.
        problem: why it has no metrics: it failed, is unfinished, or damaged; "" where it has.
        notes: what else is missing or damaged.
        config: resolved, as plain dicts; `overrides`: what was given, by key.
        steps: the lines of `metrics.jsonl`.
        kept: images and counts of the last evaluation.
    """

    folder: Path
    name: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    kept: Kept | None = None

    @property
    def seed(self) -> Any:
        """Of the training; None where nobody knows."""
        return self.overrides.get("seed", self.config.get("seed"))

    def records(self, split: str) -> list[dict[str, Any]]:
        """The lines of a split."""
        return [record for record in self.steps if record.get("split") == split]


def find_runs(given: Iterable[str]) -> list[Path]:
    """The folders of runs.

    Args:
        given: folders of runs, of sweeps and comparisons, or of many of them; patterns with `*`.

    Returns:
        Each once, in order; runs of a sweep by number.

    Raises:
        InputError: nothing is there, or no run.
    """
    found: dict[Path, None] = {}
    for place in given:
        expanded = user_path(place)
        paths = (
            [expanded] if expanded.exists() else sorted(map(Path, glob.glob(str(expanded))), key=_by_number)
        )
        if not paths:
            raise InputError(f"runs={place}: no such folder", do="give the folder of a run or of a sweep")
        below = [run for path in paths for run in _runs_in(path, DEPTH)]
        if not below:
            raise InputError(f"runs={place}: holds no run", do="give the folder of a run or of a sweep")
        found |= dict.fromkeys(path.resolve() for path in below)
    return list(found)


def _runs_in(path: Path, depth: int) -> list[Path]:
    if not path.is_dir():
        return []
    children = sorted((child for child in path.iterdir() if child.is_dir()), key=_by_number)
    of_runs = [child for child in children if _is_run(child)]
    if of_runs:  # beside them those of a sweep that are numbered and empty
        return [child for child in children if child in of_runs or re.match(r"\d+(_|$)", child.name)]
    if _is_run(path):
        return [path]
    return [run for child in children for run in _runs_in(child, depth - 1)] if depth else []


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in OF_A_RUN)


def _by_number(path: Path) -> list[Any]:
    """What sorts run 2 before run 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def read_runs_of(folders: Sequence[Path]) -> list[Run]:
    """Reads each folder, and gives each run a short name of its own."""
    runs = [read_run_folder(folder) for folder in folders]
    for length in range(1, 6):
        names = ["/".join(run.folder.parts[-length:]) for run in runs]
        if len(set(names)) == len(names):
            break
    for run, name in zip(runs, names, strict=True):
        run.name = name
    return runs


def read_run_folder(folder: Path) -> Run:
    """Reads a run; what is damaged is said in `problem` and `notes`, never raised.

    An evaluation's run takes what it lacks, curves and overrides, from the training of its checkpoint.
    """
    run = Run(folder)
    run.config = _mapping(run, CONFIG, yaml.safe_load)
    metrics = _mapping(run, METRICS, json.loads)
    run.overrides = _overrides(metrics.get("overrides"))
    run.steps = _lines(run)
    try:
        run.kept = read_kept(folder)
    except InputError as error:
        run.notes.append(str(error))
    if run.notes and not metrics:
        run.problem = run.notes[0]
    if "error" in metrics:
        run.problem = f"failed: {shorten(metrics['error'], 600)}"
    elif metrics:
        run.metrics = _network(metrics)
        if wrong := _misshapen(run.metrics):
            run.metrics, run.problem = {}, f"{METRICS} is damaged: {wrong}"
        _add_training(run)
    elif not run.problem:
        run.problem = _unfinished(run)
    return run


def _misshapen(metrics: Mapping[str, Any]) -> str:
    """What is not as an evaluation writes it; "" where all is."""
    if not isinstance(metrics.get("mean_iou"), float | int | None):
        return "mean_iou is no number"
    per_class = metrics.get("per_class", {})
    if not isinstance(per_class, dict) or not all(isinstance(one, dict) for one in per_class.values()):
        return "per_class is no table"
    return next((f"{key} is no table" for key in TABLES if not isinstance(metrics.get(key, {}), dict)), "")


def _network(metrics: dict[str, Any]) -> dict[str, Any]:
    """`mean_iou` and its like the network's, as in tables of sweeps; those after the CRF under `with_crf`."""
    without = metrics.get("without_crf")
    if not isinstance(without, dict):
        return metrics
    return metrics | without | {"with_crf": metrics, "mean_iou_crf": metrics.get("mean_iou")}


def _add_training(run: Run) -> None:
    """Curves, config and overrides of the training that an evaluated checkpoint is of."""
    ckpt = run.metrics.get("ckpt") or run.config.get("ckpt")
    if not isinstance(ckpt, str):
        return
    path = user_path(ckpt)
    training = path.parent.parent if path.suffix == ".ckpt" else path
    if training == run.folder or not _is_run(training):
        return
    of = Run(training)
    own = {key: value for key, value in run.overrides.items() if key != "ckpt"}
    before = _mapping(of, METRICS, json.loads)
    run.overrides = _overrides(before.get("overrides")) | own
    run.config = _mapping(of, CONFIG, yaml.safe_load) | run.config
    run.steps = run.steps if run.records("train") else _lines(of)


def _mapping(run: Run, name: str, parse: Any) -> dict[str, Any]:
    """A file of the run; empty where it is missing, and with a note where it is damaged."""
    path = run.folder / name
    try:
        values = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        run.notes.append(f"{name} is damaged: line {error.lineno} is no JSON")
        return {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        run.notes.append(f"{name} is damaged: {reading_reason(error)}")
        return {}
    if isinstance(values, dict):
        return values
    run.notes.append(f"{name} is damaged: it must hold keys and values")
    return {}


def _overrides(given: Any) -> dict[str, str]:
    """`model=fcn8s` as a key and its value."""
    pairs = (str(one).lstrip("+~").partition("=") for one in given or () if isinstance(given, list))
    return {key: value for key, sign, value in pairs if sign and not key.startswith("hydra.")}


def _lines(run: Run) -> list[dict[str, Any]]:
    """The whole lines of metrics.jsonl; a kill may have cut the last one, and a fault any."""
    path, found, bad = run.folder / STEPS, [], 0
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, ValueError) as error:
        run.notes.append(f"{STEPS} is damaged: {reading_reason(error)}")
        return []
    for line in lines:
        try:
            values = json.loads(line)
            ok = isinstance(values, Mapping) and isinstance(values["step"], int) and values["split"]
        except (ValueError, KeyError, RecursionError):
            ok = False
        if ok:
            found.append(dict(values))
        else:
            bad += 1
    if bad > 1 or (bad and lines and found and lines[-1].endswith("}")):
        run.notes.append(f"{STEPS}: {bad} lines are damaged and left out")
    return found


def _unfinished(run: Run) -> str:
    if not _is_run(run.folder):
        return "the folder is empty"
    steps = [record["step"] for record in run.steps]
    at = f", last logged step {max(steps)}" if steps else ""
    whole = run.config.get("max_steps")
    return f"unfinished: no {METRICS}{at}{f' of {whole}' if steps and whole else ''}"
