"""What a sweep over folds comes to: every image validates once, so the folds' matrices add up to one."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from scipy.stats import t

from segtrain.evaluation.result import scores_as_json
from segtrain.files import write_atomically
from segtrain.metrics.regions import scores
from segtrain.viz.tables import percent

FOLD, LEVEL = "data.fold", 0.95


def summarise_folds(folder: Path, console: Console) -> None:
    """Shows and writes `folds.json` where the runs of a sweep differ in data.fold: mean and std over the
    folds, and the out-of-fold metrics, those of the sum of the folds' confusion matrices, after a CRF.

    Args:
        folder: of the sweep.
        console: where the table goes.

    Raises:
        SaveError: the file cannot be written.
    """
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for path in sorted(folder.glob("*/metrics.json")):
        metrics = json.loads(path.read_text())
        overrides = [override.lstrip("+") for override in metrics.get("overrides", ())]
        fold = [o.partition("=")[2] for o in overrides if o.startswith(f"{FOLD}=")]
        if fold and "confusion_matrix" in metrics:
            rest = tuple(o for o in overrides if not o.startswith(f"{FOLD}="))
            groups.setdefault(rest, {})[fold[-1]] = metrics
    summaries = [
        {"overrides": list(rest)} | summary(folds) for rest, folds in groups.items() if len(folds) > 1
    ]
    if not summaries:
        return
    for one in summaries:
        low, high = map(percent, one["interval"])
        console.print(
            f"{len(one['folds'])} folds: mean IoU {percent(one['mean'])} %, std {percent(one['std'])},"
            f" 95 % of the mean {low} – {high}; out of fold, {one['images']} images:"
            f" {percent(one['out_of_fold']['mean_iou'])} % ({' '.join(one['overrides'])})",
            highlight=False,
            markup=False,
        )
    text = json.dumps(summaries, indent=1)
    write_atomically(folder / "folds.json", lambda file: file.write(text.encode()))
    console.print(f"{folder}/folds.json", highlight=False, markup=False)


def summary(folds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean IoU over some folds, and the metrics of all of their images together.

    Args:
        folds: the `metrics.json` of each.

    Returns:
        `folds` (mean IoU of each), `mean`, `std`, `interval` (95 % of the mean by Student's t; folds share
        training images, so that it is rather too narrow), `images`, and `out_of_fold`: as a `metrics.json`,
        with `confusion_matrix`.
    """
    values = [metrics["mean_iou"] or 0.0 for metrics in folds.values()]
    mean, std = statistics.mean(values), statistics.stdev(values)
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * std / len(values) ** 0.5
    matrix = torch.stack([torch.tensor(metrics["confusion_matrix"]) for metrics in folds.values()]).sum(0)
    names = tuple(next(iter(folds.values()))["per_class"])
    together = scores(matrix, names)
    return {
        "folds": dict(zip(folds, values, strict=True)),
        "mean": mean,
        "std": std,
        "interval": [mean - half, mean + half],
        "images": sum(metrics["images"] for metrics in folds.values()),
        "out_of_fold": scores_as_json(together) | {"confusion_matrix": together.confusion_matrix},
    }
