"""`predictions=DIR`: another tool's label images, checked, and evaluated as if a network had made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtrain.commands.build import build_data
from segtrain.commands.evaluate import Validation, evaluate_checkpoints, examine, open_log
from segtrain.commands.made_by import in_words, made_by
from segtrain.commands.made_from import MADE_FROM
from segtrain.commands.paths import relative, write_yaml
from segtrain.contracts import IGNORE_INDEX, Sample, Split
from segtrain.data.checks.input import measure_input
from segtrain.data.checks.sample_check import Fault, one_line
from segtrain.data.checks.scan import map_indices, read_labels
from segtrain.data.datasets.splits import source_of
from segtrain.data.io.listing import image_files
from segtrain.data.io.masks import read_mask
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute
from segtrain.errors import InputError, SegtrainError
from segtrain.evaluation.predictor import Predict
from segtrain.evaluation.result import STORED, EvaluationResult
from segtrain.files import user_path
from segtrain.loggers.run_log import RunLog
from segtrain.metrics.average_precision import AveragePrecision
from segtrain.metrics.calibration import Calibration

KINDS = {
    "missing": "images without a prediction",
    "surplus": "predictions of no image of the split",
    "unreadable": "predictions that cannot be read",
    "size": "predictions of another size than the mask",
    "range": "predictions with what is no class index",
}
SHOWN = 6  # faults of a kind that are named
NO_NETWORK = Compute(torch.device("cpu"), STORED)


class StoredPredictions(Predict):
    """Label images by the names of the samples.

    Args:
        files: of each name.
        classes: an index outside of 0 .. classes-1, as where the mask is ignored, is read as 0.
    """

    def __init__(self, files: Mapping[str, Path], classes: int):
        self.files, self.classes = files, classes

    def labels(self, samples: list[Sample]) -> Tensor:
        read = [read_mask(self.files[sample.name]) for sample in samples]
        known = [np.where((labels >= 0) & (labels < self.classes), labels, 0) for labels in read]
        return torch.from_numpy(np.stack(known).astype(np.uint8))

    def confident_labels(self, samples: list[Sample]) -> tuple[Tensor, Tensor]:
        labels = self.labels(samples)
        return labels, torch.ones(labels.shape)


def stored_predictions(folder: str, split: Split, classes: int, log: RunLog) -> StoredPredictions:
    """The predictions of a split in a folder and those below it.

    Args:
        folder: with label images, an index a pixel, named as the split's images; or an output of segpredict.
        split: that is evaluated.
        classes: of the data set.
        log: gets the faults, and draws a progress bar.

    Raises:
        InputError: predictions are missing, surplus, unreadable, of another size or out of range: all are
            counted, and the first of each kind are named.
    """
    place = user_path(folder)
    if (place / MADE_FROM).is_file() and (place / "labels").is_dir():  # an output of segpredict
        place = place / "labels"
    if not place.is_dir():
        raise InputError(f"predictions={folder}: no such folder", do="give a folder of label images")
    names = [source_of(split, i)[0] for i in range(len(split))]
    files, faults = pair_predictions(names, place)
    known = [i for i, name in enumerate(names) if name in files]
    with log.progress("checking predictions", len(known)) as advance:
        check = partial(check_prediction, split, files, classes)
        for found in map_indices(len(known), lambda i: check(known[i]), advance):
            faults += found
    _refuse(folder, faults, log.say)
    return StoredPredictions(files, classes)


def pair_predictions(names: list[str], folder: Path) -> tuple[dict[str, Path], list[Fault]]:
    """The file of each name, by its path below the folder without suffix, else by its last part; and names
    without a file and files without a name.

    Example:
        >>> pair_predictions(["site/a"], Path("out"))
        ({"site/a": Path("out/a.png")}, [])
    """
    by_path = {path.relative_to(folder).with_suffix("").as_posix(): path for path in image_files(folder)}
    by_stem: dict[str, list[Path]] = {}
    for path in by_path.values():
        by_stem.setdefault(path.stem, []).append(path)
    last = [name.rpartition("/")[2] for name in names]
    files = {}
    for name, stem in zip(names, last, strict=True):
        alone = by_stem.get(stem, []) if last.count(stem) == 1 else []
        found = by_path.get(name) or (alone[0] if len(alone) == 1 else None)
        if found is not None:
            files[name] = found
    used = set(files.values())
    missing = [Fault("missing", name, f"no such file in {folder}") for name in names if name not in files]
    surplus = [Fault("surplus", str(path), "no such image") for path in by_path.values() if path not in used]
    return files, missing + surplus


def check_prediction(split: Split, files: Mapping[str, Path], classes: int, index: int) -> list[Fault]:
    """What is wrong with the prediction of a sample; where the mask is ignored, it may hold anything."""
    mask, name = read_labels(split, index)
    path = files[name]
    if mask.ndim != 2:
        raise InputError(
            f"{name}: its mask has several classes a pixel", do="predictions= takes one class a pixel"
        )
    try:
        labels = read_mask(path)
    except SegtrainError as error:
        return [Fault("unreadable", str(path), one_line(error, path))]
    if labels.shape != mask.shape:
        of, wanted = (f"{shape[1]}×{shape[0]}" for shape in (labels.shape, mask.shape))
        return [Fault("size", str(path), f"{of}, the mask is {wanted}")]
    outside = labels[((labels < 0) | (labels >= classes)) & (mask != IGNORE_INDEX)]
    if not outside.size:
        return []
    values = ", ".join(map(str, np.unique(outside)[:SHOWN].tolist()))
    return [
        Fault("range", str(path), f"{outside.size} pixels of {values}: the classes are 0 to {classes - 1}")
    ]


def _refuse(folder: str, faults: list[Fault], say: Callable[[str], object]) -> None:
    """Shows the faults by kind, the first few of each. Raises InputError where there are any."""
    counts = []
    for kind, title in KINDS.items():
        own = [fault for fault in faults if fault.kind == kind]
        if own:
            counts.append(f"{len(own)} {title}")
            say(f"{title}: {len(own)}")
        for fault in own[:SHOWN]:
            say(f"  {fault.where}: {fault.what}")
        if len(own) > SHOWN:
            say(f"  and {len(own) - SHOWN} more")
    if counts:
        do = "write an index PNG for each image of the split, named as it is"
        if all(fault.kind == "surplus" for fault in faults):
            do = "give a folder of this split's alone, or evaluate another: split=train, split=test"
        raise InputError(f"predictions={folder}: {', '.join(counts)}", do=do)


def evaluate_configs(
    configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path
) -> tuple[EvaluationResult, dict[str, Any]]:
    """`evaluate_checkpoints`, or where there is none `evaluate_predictions`."""
    return evaluate_checkpoints(configs, saved, folder) if saved else evaluate_predictions(configs[0], folder)


def evaluate_predictions(config: dict[str, Any], folder: Path) -> tuple[EvaluationResult, dict[str, Any]]:
    """Evaluates label images of another tool, `predictions`, on the split of `split`; no network is built.

    Args:
        config: resolved.
        folder: of the run.

    Returns:
        As `evaluate_checkpoints`.

    Raises:
        InputError: predictions that do not fit the split, or what needs more than labels.
    """
    with process_group.join(NO_NETWORK.device), open_log(config, folder, "eval") as log:
        data = build_data(config)
        made = made_by(data)
        write_yaml(config, folder / "config.yaml", in_words(made))
        log.start(config)
        validation = Validation(data, NO_NETWORK, config, log, None, spec=measure_input(data, log.say))
        check_labels_suffice(config, validation.make_metrics())
        classes = len(data.class_names)
        predict = stored_predictions(config["predictions"], validation.images, classes, log)
        result, _ = examine(validation, predict, 0)
        log.say(f"metrics: {relative(folder)}/metrics.json")
    return result, {"predictions": config["predictions"], "made_by": made}


def check_labels_suffice(config: dict[str, Any], metrics: list[Any]) -> None:
    """Raises InputError for what needs more than a prediction's labels."""
    for key in ("crf", "tune_crf"):
        if config[key]:
            raise InputError(f"{key}={config[key]}: predictions= has no probabilities", do="leave it out")
    for metric in metrics:
        if isinstance(metric, AveragePrecision | Calibration):
            what = f"metric: {type(metric).__name__} needs probabilities, and predictions= has labels"
            raise InputError(what, do="leave the metric out")
