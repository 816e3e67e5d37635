"""`segeval ckpt=[A,B] compare=true`: which of two checkpoints is better, and how sure is that?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from segtrain.commands.build import build_crf, build_data, saved_input
from segtrain.commands.evaluate import Validation, build_predictor, examine, open_log
from segtrain.commands.paths import relative, write_metrics, write_yaml
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError
from segtrain.evaluation.bootstrap import Difference, difference
from segtrain.evaluation.report import Report, write_rows
from segtrain.evaluation.result import EvaluationResult
from segtrain.loggers.run_log import RunLog
from segtrain.metrics.regions import Scores
from segtrain.viz.tables import METRIC_LABELS, gain, interval_text, percent, table

NAMES = ("A", "B")


class Compared(NamedTuple):
    """One of the two checkpoints, evaluated."""

    path: str
    result: EvaluationResult
    report: Report
    parameters: int

    def as_json(self) -> dict[str, Any]:
        """Its metrics, with where it came from."""
        return self.result.as_json() | {"ckpt": self.path, "parameters": self.parameters}


def compare_checkpoints(
    configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path
) -> tuple[EvaluationResult, dict[str, Any]]:
    """Evaluates two checkpoints, each below `folder`/A and /B, and compares them image by image.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set, the CRF and the
            scalars are the first one's.
        folder: of the run.

    Returns:
        A's result, and what `metrics.json` holds beside it: B's metrics and the difference.

    Raises:
        InputError: not two checkpoints.
    """
    config = configs[0]
    if len(saved) != 2:
        raise InputError(f"compare=true needs two checkpoints, got {len(saved)}", do="give two: ckpt=[A,B]")
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), open_log(config, folder, "eval") as log:
        write_yaml(config, folder / "config.yaml")
        log.start(config)
        data, crf = build_data(config), build_crf(config)
        both = []
        for name, path, node, checkpoint in zip(NAMES, config["ckpt"], configs, saved, strict=True):
            log.say(f"{name}: {path}")
            with RunLog(folder / name, "eval", silent=process_group.rank() > 0) as own:
                predict, parameters = build_predictor([node], [checkpoint], compute)
                validation = Validation(data, compute, config, own, crf, spec=saved_input(checkpoint))
                both.append(
                    Compared(path, *examine(validation, predict, checkpoint.meta["step"]), parameters)
                )
        a, b = both
        found = difference(a.report.counts(), b.report.counts())
        log.say(comparison_table(a.result.final, b.result.final, found))
        log.say(verdict(found, a.result.images))
        if process_group.rank() == 0:
            write_files(folder, a, b)
        log.say(f"metrics: {relative(folder)}/metrics.json")
    shown = found._asdict() | {"significant": found.is_significant}
    beside = {"ckpt": a.path, "parameters": a.parameters, "compared_with": b.as_json(), "difference": shown}
    return a.result, beside


def comparison_table(a: Scores, b: Scores, found: Difference) -> Table:
    """Every class's IoU and the four metrics of both, and B's gain."""
    result = table("IoU %", "", *NAMES, "B - A")

    def add(label: str, before: float | None, after: float | None) -> None:
        result.add_row(label, percent(before), percent(after), gain(before, after))

    for name, values in a.per_class.items():
        add(name, values["iou"], b.per_class[name]["iou"])
    result.add_section()
    for key, label in METRIC_LABELS.items():
        add(label, getattr(a, key), getattr(b, key))
        if key == "mean_iou":
            own = [interval_text(scores.mean_iou_interval) for scores in (a, b)]
            result.add_row("  95 % interval", *own, interval_text(found.interval, "+"))
    return result


def verdict(found: Difference, images: int) -> str:
    """In a line: which checkpoint is better, by how much, how sure."""
    if found.interval is None or found.mean_iou is None:
        return "one image cannot decide between A and B"
    (low, high), points = found.interval, 100 * found.mean_iou
    of = f"mean IoU, 95 % interval over {images} images; another seed of the same model may differ as much"
    if not found.is_significant:
        spread = interval_text((low, high), "+")
        return f"no significant difference between checkpoints A and B: {points:+.1f} {spread} {of}"
    if high < 0:
        return f"checkpoint A is better by {-points:.1f} {interval_text((-high, -low))} {of}"
    return f"checkpoint B is better by {points:.1f} {interval_text((low, high))} {of}"


def write_files(folder: Path, a: Compared, b: Compared) -> None:
    """Each one's metrics.json, and images.csv with both side by side."""
    rows: list[list[Any]] = [["name", "mean_iou_A", "mean_iou_B"]]
    for x, y in zip(a.report.images, b.report.images, strict=True):
        rows.append([x.name, x.scores[-1].mean_iou, y.scores[-1].mean_iou])
    write_rows(rows, folder / "images.csv")
    for name, one in zip(NAMES, (a, b), strict=True):
        write_metrics(one.as_json(), [], folder / name)
