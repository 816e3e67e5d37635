"""What a sweep over folds comes to: every image validates once, so the folds' matrices add up to one."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from rich.console import Console
from scipy.stats import t

from segtrain.commands.paths import relative
from segtrain.config.data_node import make_data
from segtrain.data.datasets.folds import find_group
from segtrain.data.datasets.splits import split_of
from segtrain.engine.checkpoint import BEST
from segtrain.errors import SegtrainError
from segtrain.evaluation import bootstrap
from segtrain.evaluation.image_counts import ImageCounts, load_counts
from segtrain.evaluation.result import scores_as_json
from segtrain.files import as_argument, write_atomically
from segtrain.metrics.regions import scores
from segtrain.viz.tables import interval_text, percent
from segtrain.wording import how_many

FOLD, LEVEL = "data.fold", 0.95


class Fold(NamedTuple):
    """A run of a sweep: its folder, and its `metrics.json`."""

    folder: Path
    metrics: dict[str, Any]


def summarise_folds(folder: Path, console: Console) -> None:
    """Shows and writes `folds.json` where the runs of a sweep differ in data.fold: mean and std over the
    folds, and the out-of-fold metrics, those of the sum of the folds' confusion matrices, after a CRF; and
    the commands that take the folds as one ensemble.

    Args:
        folder: of the sweep.
        console: where the table goes.

    Raises:
        SaveError: the file cannot be written.
    """
    groups: dict[tuple[str, ...], dict[str, Fold]] = {}
    runs = sorted(folder.glob("*/metrics.json"))
    for path in runs:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        overrides = [override.lstrip("+") for override in metrics.get("overrides", ())]
        fold = [o.partition("=")[2] for o in overrides if o.startswith(f"{FOLD}=")]
        if fold and "confusion_matrix" in metrics:
            rest = tuple(o for o in overrides if not o.startswith(f"{FOLD}="))
            groups.setdefault(rest, {})[fold[-1]] = Fold(path.parent, metrics)
    groups = {rest: folds for rest, folds in groups.items() if len(folds) > 1}
    if not groups:
        return
    summaries = [{"overrides": list(rest)} | summary(folds) for rest, folds in groups.items()]
    for one, folds in zip(summaries, groups.values(), strict=True):
        whole = (
            relative(folder)
            if len(folds) == len(runs)
            else [relative(each.folder) for each in folds.values()]
        )
        lines = _ensemble(whole, next(iter(folds.values())).folder) if _have_checkpoints(folds) else []
        for line in (_line(one), *lines):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    text = json.dumps(summaries, indent=1)
    write_atomically(folder / "folds.json", lambda file: file.write(text.encode()))
    console.print(f"{folder}/folds.json", highlight=False, markup=False)


def summary(folds: Mapping[str, Fold]) -> dict[str, Any]:
    """Mean IoU over some folds, and the metrics of all of their images together.

    Args:
        folds: by the value of data.fold.

    Returns:
        `folds` (mean IoU of each), `mean`, `std`, `interval` (95 % of the mean by Student's t; folds share
        training images, so that it is rather too narrow), `images`, and `out_of_fold`: as a `metrics.json`,
        with `confusion_matrix`; its `mean_iou_interval` is by bootstrap over the images of all folds, or over
        the groups of `data.group`, whose images are alike, and `interval_over` says over how many.
    """
    every = [fold.metrics for fold in folds.values()]
    values = [metrics["mean_iou"] or 0.0 for metrics in every]
    mean, std = statistics.mean(values), statistics.stdev(values)
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * std / len(values) ** 0.5
    matrix = torch.stack([torch.tensor(metrics["confusion_matrix"]) for metrics in every]).sum(0)
    together = scores(matrix, tuple(every[0]["per_class"]))
    drawn, over = drawn_units([fold.folder for fold in folds.values()])
    interval = None if drawn is None else bootstrap.interval(drawn)
    return {
        "folds": dict(zip(folds, values, strict=True)),
        "mean": mean,
        "std": std,
        "interval": [mean - half, mean + half],
        "images": sum(metrics["images"] for metrics in every),
        "out_of_fold": scores_as_json(together)
        | {
            "mean_iou_interval": interval,
            "interval_over": over,
            "confusion_matrix": together.confusion_matrix,
        },
    }


def drawn_units(folders: list[Path]) -> tuple[np.ndarray | None, str | None]:
    """The counts N×3×C of what a bootstrap over several runs draws, and its words: images, or the groups of
    `data.group`; None where a run has no counts of its images."""
    found = [load_counts(folder) for folder in folders]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None, None
    every = ImageCounts(
        [n for one in known for n in one.names], np.concatenate([one.counts for one in known])
    )
    group = _config(folders[0]).get("data", {}).get("group")
    if group is None:
        return every.counts, how_many(len(every.names), "image")
    grouped = every.by_group([find_group(re.compile(group), name) for name in every.names])
    return grouped, f"{len(grouped)} groups"


def _line(one: dict[str, Any]) -> str:
    """A summary in a line."""
    low, high = map(percent, one["interval"])
    together = one["out_of_fold"]
    spread = interval_text(together["mean_iou_interval"])
    over = f" {spread} over {together['interval_over']}" if spread else ""
    return (
        f"{len(one['folds'])} folds: mean IoU {percent(one['mean'])} %, std {percent(one['std'])},"
        f" 95 % of the mean {low} – {high}; out of fold, {one['images']} images:"
        f" {percent(together['mean_iou'])} %{over} ({' '.join(one['overrides'])})"
    )


def _have_checkpoints(folds: Mapping[str, Fold]) -> bool:
    """Whether the runs were trainings."""
    return all((fold.folder / "checkpoints" / BEST).is_file() for fold in folds.values())


def _ensemble(ckpt: str | list[str], folder: Path) -> list[str]:
    """The commands that take the folds as one ensemble: to evaluate it needs images that no fold has."""
    chosen = as_argument("ckpt", ckpt) if isinstance(ckpt, str) else f"ckpt=[{','.join(ckpt)}]"
    lines = [f"the folds as one ensemble: segpredict {chosen} input=IMAGES"]
    try:
        split_of(make_data(_config(folder)["data"]), "test")
        lines.append(f"on images that no fold has: segeval {chosen} split=test")
    except (SegtrainError, OSError, KeyError):
        lines.append(f"on images that no fold has: segeval {chosen} data.root=OTHER")
    return lines


def _config(folder: Path) -> dict[str, Any]:
    """A run's resolved config; empty where it cannot be read."""
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}
