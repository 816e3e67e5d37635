"""What a sweep ends with: its runs side by side, the best first."""

from __future__ import annotations

import csv
import io
import json
import os
import traceback
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write
from rich.table import Table

from segtrain.distributed import launch
from segtrain.errors import SaveError
from segtrain.files import without_quotes, write_atomically
from segtrain.loggers.run_log import WIDTH
from segtrain.progress import Terminal
from segtrain.viz.tables import METRIC_LABELS, percent, table

# The network's metrics, and the CRF's mean IoU where there is one.
COLUMNS = (
    "run",
    "overrides",
    *METRIC_LABELS,
    "mean_iou_crf",
    "parameters",
    "seconds_per_step",
    "error",
)


# Where the terminal is narrow these columns go, the first one first; mean IoU and what varies stay.
LEAVE_OUT = (
    *("frequency_weighted_iou", "mean_accuracy", "pixel_accuracy", "parameters", "seconds_per_step"),
)


class SweepFailed(BaseException):
    """A run of a sweep failed, or its table could not be written; no Exception, for Hydra turns one of a
    callback into a warning."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


class Comparison(Callback):
    """A Hydra callback: after `-m`, a table on the terminal, `comparison.csv` and `report.html`.

    It reads each run's `metrics.json`, where a failed run left its reason, so that it works with
    launchers whose jobs run elsewhere.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Makes Optuna maximise: our metric is better the larger it is."""
        sweeper = config.hydra.sweeper
        if "direction" in sweeper:
            with read_write(config.hydra):  # by the callback before this one it is for reading alone
                sweeper.direction = "maximize"

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Shows the table and writes the CSV. Raises SweepFailed where a run failed."""
        folder = Path(config.hydra.sweep.dir)
        runs = read_runs(folder)
        if not runs or launch.rank() > 0:
            return
        print_runs(runs, folder)
        failed = [run for run in runs if run["error"]]
        try:
            write_csv(runs, folder / "comparison.csv")
            if any(o.lstrip("+").startswith("data.fold=") for run in runs for o in run["overrides"]):
                from segtrain.commands.fold_summary import summarise_folds  # it needs torch

                summarise_folds(folder, Terminal(width=None if Terminal().is_terminal else WIDTH))
            if config.report:
                from segtrain.commands.report import write_report

                write_report([str(folder)], folder)
        except SaveError as error:
            raise SweepFailed(str(error), error.exit_code) from error
        except Exception as error:  # Hydra would make a warning of it
            traceback.print_exc()
            raise SweepFailed(f"the comparison was not finished: {error}", 1) from error
        if failed:
            message = (
                f"{len(failed)} of {len(runs)} runs failed, run {failed[0]['run']}: {failed[0]['error']}"
            )
            raise SweepFailed(message, failed[0]["exit_code"])


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """The runs below a sweep's folder, best mean IoU first, failed ones last."""
    runs = []
    for path in folder.glob("*/metrics.json"):
        run = network_metrics(json.loads(path.read_text(encoding="utf-8")))
        run["run"] = path.parent.name
        runs.append({column: run.get(column) for column in (*COLUMNS, "exit_code")})
    return sorted(runs, key=lambda run: (run["mean_iou"] is None, -(run["mean_iou"] or 0), run["run"]))


def network_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a `metrics.json`, `mean_iou` the network's and `mean_iou_crf` the CRF's."""
    if "without_crf" not in metrics:
        return metrics
    return metrics | metrics["without_crf"] | {"mean_iou_crf": metrics["mean_iou"]}


def write_csv(runs: list[dict[str, Any]], path: Path) -> None:
    """Writes every run with all of its overrides."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(run | {"overrides": " ".join(run["overrides"])} for run in runs)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))


def print_runs(runs: list[dict[str, Any]], folder: Path) -> None:
    """Shows a table of the runs: what varies as columns, what all share once above, failed runs below."""
    shared, varying = split_overrides([[o.lstrip("+") for o in run["overrides"]] for run in runs])
    done = [run for run in runs if not run["error"]]
    has_crf = any(run["mean_iou_crf"] is not None for run in done)
    labels = METRIC_LABELS | ({"mean_iou_crf": "with CRF"} if has_crf else {})
    as_wide_as_shown = Terminal().is_terminal or "COLUMNS" in os.environ
    console = Terminal(width=None if as_wide_as_shown else WIDTH)
    if shared:
        console.print(f"all runs: {' '.join(shared)}", highlight=False, markup=False)
    left_out: list[str] = []
    while done:
        shown = [key for key in (*labels, "parameters", "seconds_per_step") if key not in left_out]
        result = _table_of(done, varying, shown)
        unlimited = console.options.update(max_width=10_000)
        too_wide = console.measure(result, options=unlimited).maximum > console.width
        if not too_wide or not (rest := [key for key in LEAVE_OUT if key in shown]):
            console.print(result)
            if "seconds_per_step" in shown:
                console.print("* seconds a step on this machine", highlight=False)
            break
        left_out.append(rest[0])
    if left_out:
        console.print("comparison.csv has more columns than fit here", highlight=False)
    for run in runs:
        if run["error"]:
            own = " ".join(o for o in run["overrides"] if o not in shared)
            what = f"run {run['run']} failed ({own}): {run['error']}"
            console.print(what, style="red", markup=False, highlight=False)
    console.print(f"{folder}/comparison.csv", highlight=False, markup=False)


def _table_of(runs: list[dict[str, Any]], varying: list[str], shown: list[str]) -> Table:
    """The runs with the keys that vary and the columns `shown`."""
    titles = METRIC_LABELS | {"mean_iou_crf": "with CRF", "seconds_per_step": "s/step*"}
    result = table("the sweep, best first", "run", *varying, *(titles.get(key, key) for key in shown))
    for column in result.columns[1 : 1 + len(varying)]:
        column.justify, column.overflow = "left", "fold"
    for column in result.columns[1 + len(varying) :]:
        column.no_wrap = True
    for run in runs:
        values = dict(override.split("=", 1) for override in run["overrides"] if "=" in override)
        varied = (without_quotes(values.get(key, "")) for key in varying)
        result.add_row(run["run"], *varied, *(_cell(run, key) for key in shown))
    return result


def _cell(run: dict[str, Any], key: str) -> str:
    if key == "parameters":
        return "-" if run[key] is None else f"{run[key]:,}"
    if key == "seconds_per_step":
        return "-" if run[key] is None else f"{run[key]:.2f}"
    return percent(run[key])


def split_overrides(overrides: list[list[str]]) -> tuple[list[str], list[str]]:
    """The overrides that all runs share, and the keys of those that vary, in their order."""
    shared = [o for o in overrides[0] if all(o in of for of in overrides)]
    varying = dict.fromkeys(o.split("=", 1)[0] for of in overrides for o in of if o not in shared)
    return shared, list(varying)
