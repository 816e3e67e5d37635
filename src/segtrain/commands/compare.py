"""`segeval ckpt=[A,B] compare=true`: which of two checkpoints is better, and is that sure?"""

import json
from pathlib import Path
from typing import Any

from segtrain.commands.build import build_crf
from segtrain.commands.evaluate import Validation, build_predictor, examine
from segtrain.commands.paths import relative, write_yaml
from segtrain.config.instantiate import instantiate
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError
from segtrain.evaluation.bootstrap import Difference, difference
from segtrain.evaluation.report import Report, write_rows
from segtrain.loggers.run_log import METRIC_LABELS, RunLog, interval, percent, table

NAMES = ("A", "B")


def compare_checkpoints(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> dict:
    """Evaluates two checkpoints, each by itself below `folder`/A and /B, and compares them image by
    image; gives A's metrics with B's and the difference.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set, the CRF and the
            switches are the first one's.

    Raises:
        InputError: not two checkpoints.
    """
    config, paths = configs[0], configs[0]["ckpt"]
    if len(saved) != 2:
        raise InputError(f"compare=true with {len(saved)} checkpoints", do="give two: ckpt=[A,B]")
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), RunLog(folder, "eval", silent=process_group.rank() > 0) as log:
        write_yaml(config, folder / "config.yaml")
        data, crf = instantiate(config["data"], "data"), build_crf(config)
        both: list[tuple[dict, Report]] = []
        for name, path, node, checkpoint in zip(NAMES, paths, configs, saved, strict=True):
            log.say(f"{name}: {path}")
            with RunLog(folder / name, "eval", silent=process_group.rank() > 0) as own:
                predict, parameters = build_predictor([node], [checkpoint], compute)
                validation = Validation(data, compute, config, own, crf)
                metrics, report = examine(validation, predict, checkpoint.meta["step"])
            both.append((metrics | {"ckpt": path, "parameters": parameters}, report))
        (a, of_a), (b, of_b) = both
        found = difference(of_a.counts(), of_b.counts())
        log.say(comparison_table(a, b, found))
        log.say(verdict(found, a["images"]))
        if process_group.rank() == 0:
            write_files(folder, a, b, of_a, of_b)
        log.say(f"metrics: {relative(folder)}/metrics.json")
    return a | {"compared_with": b, "difference": found._asdict() | {"told_apart": found.told_apart}}


def comparison_table(a: dict, b: dict, found: Difference):
    """Every class's IoU and the four metrics of both, and B's gain."""
    result = table("IoU %", "", *NAMES, "B - A")

    def add(label: str, before: float | None, after: float | None) -> None:
        gain = "" if before is None or after is None else f"{100 * (after - before):+.1f}"
        result.add_row(label, percent(before), percent(after), gain)

    for name, values in a["per_class"].items():
        add(name, values["iou"], b["per_class"][name]["iou"])
    result.add_section()
    for key, label in METRIC_LABELS.items():
        add(label, a[key], b[key])
        if key == "mean_iou":
            own = [interval(metrics["mean_iou_interval"]) for metrics in (a, b)]
            result.add_row("  95 % interval", *own, interval(found.interval, sign="+"))
    return result


def verdict(found: Difference, images: int) -> str:
    """In a line: which is better, by how much, how sure."""
    if found.interval is None:
        return "one image cannot tell A and B apart"
    (low, high), gain = found.interval, 100 * found.mean_iou
    of = f"mean IoU, 95 % interval over {images} images"
    if not found.told_apart:
        return f"A and B cannot be told apart: {gain:+.1f} {interval((low, high), sign='+')} {of}"
    if high < 0:
        return f"A is better by {-gain:.1f} {interval((-high, -low))} {of}"
    return f"B is better by {gain:.1f} {interval((low, high))} {of}"


def write_files(folder: Path, a: dict, b: dict, of_a: Report, of_b: Report) -> None:
    """Each one's metrics.json, and images.csv with both side by side."""
    rows = [["name", "mean_iou_A", "mean_iou_B"]]
    for x, y in zip(of_a.lines, of_b.lines, strict=True):
        rows.append([x.name, x.metrics[-1]["mean_iou"], y.metrics[-1]["mean_iou"]])
    write_rows(rows, folder / "images.csv")
    for name, metrics in zip(NAMES, (a, b), strict=True):
        (folder / name / "metrics.json").write_text(json.dumps(metrics, indent=2))
