"""`segeval ckpt=[A,B] compare=true`: which checkpoint, or which model of several seeds, or which tool's
predictions, are better, and how sure is that?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from segtrain.commands.build import build_crf, build_data, saved_input
from segtrain.commands.evaluate import Validation, build_predictor, examine, open_log
from segtrain.commands.leakage import check_leakage
from segtrain.commands.paths import checkpoint_paths, relative, write_metrics, write_yaml
from segtrain.commands.report import write_report
from segtrain.commands.stored_predictions import NO_NETWORK, check_labels_suffice, stored_predictions
from segtrain.commands.titles import drawing_of
from segtrain.data.checks.input import measure_input
from segtrain.data.datasets.splits import split_of
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute, choose
from segtrain.errors import InputError
from segtrain.evaluation.groups import GroupDifference, compare_groups
from segtrain.evaluation.report import Report, write_rows
from segtrain.evaluation.result import EvaluationResult
from segtrain.loggers.run_log import RunLog
from segtrain.metrics.regions import Scores
from segtrain.viz.tables import METRIC_LABELS, gain, interval_text, percent, table

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEVERAL = "ckpt={A:[RUN,RUN],B:[RUN,RUN]}, runs of several seeds of each"


class Compared(NamedTuple):
    """A checkpoint or a folder of predictions, evaluated. name: of its folder. parameters: None where the
    predictions were stored."""

    name: str
    path: str
    result: EvaluationResult
    report: Report
    parameters: int | None

    @property
    def source(self) -> dict[str, Any]:
        """Where it came from."""
        if self.parameters is None:
            return {"predictions": self.path}
        return {"ckpt": self.path, "parameters": self.parameters}

    def as_json(self) -> dict[str, Any]:
        """Its metrics, with where it came from."""
        return self.result.as_json() | self.source


def named_groups(ckpt: Any, predictions: Any = None) -> dict[str, list[int]]:
    """The groups that are compared: of each name the indices of its members among the checkpoints of
    `checkpoint_paths`, and the folders of predictions after them.

    Raises:
        InputError: fewer than two, or two of one name.
    """
    sizes: dict[str, int] = {}
    for given in (ckpt, predictions):
        if isinstance(given, Mapping):
            own = {str(name): len(checkpoint_paths(each)) for name, each in given.items()}
        else:
            own = dict.fromkeys(LETTERS[len(sizes) :][: len(checkpoint_paths(given))], 1)
        if twice := sorted(own.keys() & sizes.keys()):
            raise InputError(f"{twice[0]} names checkpoints and predictions", do="give them different names")
        sizes |= own
    if odd := [name for name in sizes if not re.fullmatch(r"\w[\w.-]*", name)]:
        raise InputError(f"ckpt: {odd[0]!r} names a group and its folder", do="use letters, digits, _ . -")
    if len(sizes) < 2 or not all(sizes.values()):
        raise InputError(
            f"compare=true needs two checkpoints, got {sum(sizes.values())}",
            do=f"give ckpt=[A,B], or predictions=[DIR,DIR], or {SEVERAL}",
        )
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: list(range(end - size, end)) for (name, size), end in zip(sizes.items(), ends, strict=True)}


def compare_checkpoints(
    configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path
) -> tuple[EvaluationResult, dict[str, Any]]:
    """Evaluates checkpoints and folders of predictions, each in a folder of its own below `folder`, and
    compares them, or the groups that they are seeds of, image by image.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set, the CRF and the
            scalars are the first one's. Where there are only predictions, the one config.
        folder: of the run.

    Returns:
        The first one's result, and what `metrics.json` holds beside it.

    Raises:
        InputError: fewer than two, a group whose members are of several models, or one twice, or predictions
            that do not fit.
    """
    config = configs[0]
    groups = named_groups(config["ckpt"], config["predictions"])
    paths = [path for key in ("ckpt", "predictions") for path in checkpoint_paths(config[key])]
    check_groups_members(groups, paths, saved)
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), open_log(config, folder, "eval") as log:
        write_yaml(config, folder / "config.yaml")
        log.start(config)
        members_of = Members(configs, saved, paths, compute, log)
        compared: list[Compared] = []
        for group, indices in groups.items():
            for number, i in enumerate(indices, 1):
                name = group if len(indices) == 1 else f"{group}_{number}"
                log.say(f"{name}: {paths[i]}")
                look = drawing_of(configs[min(i, len(configs) - 1)] | members_of.key(i), folder / name)
                with RunLog(folder / name, "eval", silent=process_group.rank() > 0, **look) as own:
                    compared.append(members_of.examined(i, name, own))
        found = compare_groups(
            [[compared[i].report.counts() for i in indices] for indices in groups.values()]
        )
        members = {name: [compared[i] for i in indices] for name, indices in groups.items()}
        log.say(comparison_table(members, found))
        for line in verdicts(members, found):
            log.say(line)
        if process_group.rank() == 0:
            write_files(folder, compared)
            if config["report"]:
                write_report([str(folder)], folder)
        log.say(f"metrics: {relative(folder)}/metrics.json")
    return compared[0].result, _beside(members, found)


class Members:
    """What is compared: the checkpoints, then the folders of predictions, on one split of one data set.

    Args:
        configs, saved: of the checkpoints; the first config is everybody's.
        paths: of all.
        log: of the comparison.

    Raises:
        InputError: the data, or checkpoints that were trained on the split.
    """

    def __init__(
        self,
        configs: list[dict[str, Any]],
        saved: list[Checkpoint],
        paths: list[str],
        compute: Compute,
        log: RunLog,
    ):
        self.configs, self.saved, self.paths, self.compute = configs, saved, paths, compute
        self.config = configs[0]
        self.data, self.crf = build_data(self.config), build_crf(self.config)
        split = self.config["split"]
        if saved:
            check_leakage(configs, saved, split_of(self.data, split), split, log)
        self.spec = saved_input(saved[0]) if saved else measure_input(self.data, log.say)

    def key(self, i: int) -> dict[str, Any]:
        """What a config names when it is alone."""
        stored = i >= len(self.saved)
        return {"ckpt": None if stored else self.paths[i], "predictions": self.paths[i] if stored else None}

    def examined(self, i: int, name: str, own: RunLog) -> Compared:
        """One of them, evaluated into the folder of its own log. Raises InputError."""
        if i >= len(self.saved):
            validation = Validation(self.data, NO_NETWORK, self.config, own, None, spec=self.spec)
            check_labels_suffice(self.config, validation.make_metrics())
            classes = len(self.data.class_names)
            stored = stored_predictions(self.paths[i], validation.images, classes, own)
            return Compared(name, self.paths[i], *examine(validation, stored, 0), None)
        one = self.saved[i]
        predict, parameters = build_predictor([self.configs[i]], [one], self.compute)
        validation = Validation(self.data, self.compute, self.config, own, self.crf, spec=saved_input(one))
        return Compared(name, self.paths[i], *examine(validation, predict, one.meta["step"]), parameters)


def check_groups_members(groups: dict[str, list[int]], paths: list[str], saved: list[Checkpoint]) -> None:
    """Raises InputError where the members of a group are not different trainings of one model."""
    for name, indices in groups.items():
        if indices[-1] >= len(saved):  # folders of predictions
            continue
        first = saved[indices[0]]
        for k, i in enumerate(indices[1:], 1):
            if saved[i].meta["config"]["model"] != first.meta["config"]["model"]:
                raise InputError(
                    f"ckpt={name}: {paths[i]} is of another model than {paths[indices[0]]}",
                    do="give a group seeds of one model",
                )
            if saved[i].digest in [saved[other].digest for other in indices[:k]]:
                raise InputError(f"ckpt={name}: {paths[i]} is in it twice", do="give several seeds")


def _beside(members: dict[str, list[Compared]], found: list[GroupDifference]) -> dict[str, Any]:
    names = list(members)
    shown = [
        {"first": names[each.first], "second": names[each.second]}
        | {key: getattr(each, key) for key in ("mean_iou", "interval", "p", "p_holm", "over_seeds")}
        | {"significant": each.is_significant}
        for each in found
    ]
    first = members[names[0]][0]
    groups = {name: [one.as_json() for one in of] for name, of in members.items()}
    beside = first.source | {"groups": groups, "differences": shown}
    if len(members) == 2:
        beside |= {"compared_with": groups[names[1]][0], "difference": shown[0]}
    return beside


def comparison_table(members: dict[str, list[Compared]], found: list[GroupDifference]) -> Table:
    """Every class's IoU and the other metrics, means over a group's seeds; with two groups the gain."""
    two = len(members) == 2
    titles = [name if len(of) == 1 else f"{name} ({len(of)} seeds)" for name, of in members.items()]
    result = table("IoU %", "", *titles, *(["B - A" if [*members] == ["A", "B"] else "gain"] if two else []))
    finals = [[one.result.final for one in of] for of in members.values()]

    def add(label: str, values: list[float | None]) -> None:
        result.add_row(label, *map(percent, values), *([gain(values[0], values[1])] if two else []))

    for name in finals[0][0].per_class:
        add(name, [_mean([scores.per_class[name]["iou"] for scores in of]) for of in finals])
    result.add_section()
    for key, label in METRIC_LABELS.items():
        add(label, [_mean([getattr(scores, key) for scores in of]) for of in finals])
        if key == "mean_iou":
            own = [_spread(of) for of in finals]
            result.add_row(
                "  95 % interval, or seeds", *own, *([interval_text(found[0].interval, "+")] * two)
            )
    return result


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _spread(of: list[Scores]) -> str:
    """One checkpoint's interval over images, or the least and the largest of several seeds."""
    if len(of) == 1:
        return interval_text(of[0].mean_iou_interval)
    values = [scores.mean_iou or 0.0 for scores in of]
    return f"{100 * min(values):.1f} to {100 * max(values):.1f}"


def verdicts(members: dict[str, list[Compared]], found: list[GroupDifference]) -> list[str]:
    """A line a pair: which is better, by how much, how sure; and what the comparison cannot say."""
    names, images = list(members), next(iter(members.values()))[0].result.images
    lines = [verdict(names[each.first], names[each.second], each, images) for each in found]
    if len(found) > 1:
        lines.append(f"{len(found)} pairs: significant is what Holm's correction leaves so")
    if not all(each.over_seeds for each in found):
        what = "of one checkpoint a side: another seed of the same model may differ as much, so this"
        lines.append(f"{what} cannot separate the models; give {SEVERAL}")
    return lines


def verdict(first: str, second: str, found: GroupDifference, images: int) -> str:
    """In a line: which of two is better, by how much, how sure."""
    if found.interval is None or found.mean_iou is None:
        return f"one image cannot decide between {first} and {second}"
    (low, high), points = found.interval, 100 * found.mean_iou
    what = "models" if found.over_seeds else "checkpoints"
    over = f"seeds and {images} images" if found.over_seeds else f"{images} images"
    of = f"mean IoU, 95 % interval over {over}, p = {found.p_holm:.2g}"
    if not found.is_significant:
        spread = interval_text((low, high), "+")
        return f"no significant difference between {what} {first} and {second}: {points:+.1f} {spread} {of}"
    better = second if points > 0 else first
    low, high = (low, high) if points > 0 else (-high, -low)
    return f"{what[:-1]} {better} is better by {abs(points):.1f} {interval_text((low, high))} {of}"


def write_files(folder: Path, compared: list[Compared]) -> None:
    """Each one's metrics.json, and images.csv with all side by side."""
    rows: list[list[Any]] = [["name", *(f"mean_iou_{one.name}" for one in compared)]]
    for images in zip(*(one.report.images for one in compared), strict=True):
        rows.append([images[0].name, *(image.scores[-1].mean_iou for image in images)])
    write_rows(rows, folder / "images.csv")
    for one in compared:
        write_metrics(one.as_json(), [], folder / one.name)
