"""What a sweep ends with: its runs side by side, the best first."""

import csv
import json
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write
from rich.console import Console
from rich.text import Text

from segtrain.distributed import launch
from segtrain.loggers.run_log import METRIC_LABELS, WIDTH, percent, table

COLUMNS = ("run", "overrides", *METRIC_LABELS, "parameters", "seconds_per_step", "error")


class SweepFailed(BaseException):
    """A run of a sweep failed; no Exception, for Hydra turns one of a callback into a warning."""

    def __init__(self, run: dict, failed: int, runs: int):
        super().__init__(f"{failed} of {runs} runs failed, run {run['run']}: {run['error']}")
        self.exit_code = run["exit_code"]


class Comparison(Callback):
    """A Hydra callback: after `-m`, a table on the terminal and `comparison.csv`.

    It reads each run's `metrics.json`, where a failed run left its reason, so that it works with
    launchers whose jobs run elsewhere.
    """

    def on_multirun_start(self, config: DictConfig, **_) -> None:
        sweeper = config.hydra.sweeper
        if "direction" in sweeper:  # Optuna's: our figure is better the larger it is
            with read_write(config):
                sweeper.direction = "maximize"

    def on_multirun_end(self, config: DictConfig, **_) -> None:
        folder = Path(config.hydra.sweep.dir)
        runs = read_runs(folder)
        if not runs or launch.rank() > 0:
            return
        write_csv(runs, folder / "comparison.csv")
        print_runs(runs, folder)
        failed = [run for run in runs if run["error"]]
        if failed:
            raise SweepFailed(failed[0], len(failed), len(runs))


def read_runs(folder: Path) -> list[dict]:
    """The runs below a sweep's folder, best mean IoU first, failed ones last."""
    runs = []
    for path in folder.glob("*/metrics.json"):
        run = json.loads(path.read_text())
        run["run"] = path.parent.name
        run["overrides"] = " ".join(run["overrides"])
        runs.append({column: run.get(column) for column in (*COLUMNS, "exit_code")})
    return sorted(runs, key=lambda run: (run["mean_iou"] is None, -(run["mean_iou"] or 0), run["run"]))


def write_csv(runs: list[dict], path: Path) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(runs)


def print_runs(runs: list[dict], folder: Path) -> None:
    result = table("the sweep, best first", "run", "", *METRIC_LABELS.values(), "parameters", "s/step")
    result.columns[1].justify, result.columns[1].overflow = "left", "fold"
    for column in (result.columns[0], *result.columns[2:]):
        column.no_wrap = True
    for run in runs:
        if run["error"]:
            result.add_row(run["run"], run["overrides"], Text(run["error"], style="red"))
        else:
            seconds = "-" if run["seconds_per_step"] is None else f"{run['seconds_per_step']:.2f}"
            metrics = [percent(run[key]) for key in METRIC_LABELS]
            result.add_row(run["run"], run["overrides"], *metrics, f"{run['parameters']:,}", seconds)
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print(result)
    console.print(f"{folder}/comparison.csv", highlight=False)
