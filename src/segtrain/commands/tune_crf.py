"""`segeval ckpt=... crf=true tune_crf=100`: the dense CRF's parameters, chosen on validation images, also
where another split is evaluated with them."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.data import Subset

from segtrain.commands.build import build_crf, build_dense_crf, saved_input
from segtrain.commands.evaluate import Validation, build_predictor, examine, open_log
from segtrain.commands.leakage import check_leakage
from segtrain.commands.paths import relative, write_yaml
from segtrain.config.data_node import make_data
from segtrain.config.instantiate import fits
from segtrain.crf.tuning import Examples, Ranges, Trial, search, trials_in, with_values
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute, choose
from segtrain.engine.loader import evaluation_batches
from segtrain.engine.worker_count import worker_count
from segtrain.errors import InputError
from segtrain.evaluation.predictor import Predict
from segtrain.evaluation.report import write_rows
from segtrain.evaluation.result import EvaluationResult
from segtrain.input_spec import InputSpec
from segtrain.loggers.run_log import RunLog
from segtrain.metrics.regions import confusion_matrix, scores
from segtrain.viz.tables import percent, table
from segtrain.wording import how_many

SHOWN = 5  # trials in the table
NAME = "tuned"  # of the option that is written


def tune_checkpoints(
    configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path
) -> tuple[EvaluationResult, dict[str, Any]]:
    """Searches `crf_ranges` for the parameters with the best mean IoU on `tune_crf` images, writes them
    as `folder`/dense_crf/tuned.yaml, and evaluates the whole split of `split` with them.

    Args:
        configs: of each checkpoint, with the user's keys on top.

    Raises:
        InputError: no CRF to tune, or ranges that do not fit it.
    """
    config = configs[0]
    if not config["crf"]:
        raise InputError(f"tune_crf={config['tune_crf']} must have a CRF, got crf=false", do="add crf=true")
    if config["compare"]:
        raise InputError(
            "tune_crf and compare=true at once", do="tune first, then compare with dense_crf=tuned"
        )
    if config["threshold"] != 0.5:
        raise InputError(
            f"tune_crf with threshold={config['threshold']}: the search takes the more probable class",
            do="add threshold=0.5",
        )
    ranges = read_ranges(config["crf_ranges"])
    check_ranges(config["dense_crf"], ranges)
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), open_log(config, folder, "eval") as log:
        log.start(config)
        data = make_data(config["data"])
        check_leakage(configs, saved, data.val, "val", log)
        tuner = Tuner(config, data, saved_input(saved[0]), compute, log)
        predict, parameters = build_predictor(configs, saved, compute)
        trials = tuner.search(ranges, tuner.examples(predict))
        log.say(trials_table(trials, tuner.images))
        tuned = config | {"dense_crf": with_values(config["dense_crf"], trials[0].values)}
        write_yaml(tuned, folder / "config.yaml")
        if process_group.rank() == 0:
            write_files(folder, tuned, trials, tuner.images)
        validation = Validation(data, compute, tuned, log, build_crf(tuned), spec=tuner.spec)
        result, _ = examine(validation, predict, saved[0].meta["step"])
        of = "these images" if validation.split == "val" else "the validation images"
        log.say(f"{tuner.images} of {of} chose the parameters; to use them:")
        log.say(f"segeval --config-dir {relative(folder)} ckpt=... crf=true dense_crf={NAME}")
    best = {"images": tuner.images, "values": trials[0].values, "mean_iou": trials[0].score}
    return result, {"parameters": parameters, "tuned_crf": best}


class Tuner:
    """Images spread over the validation split, shared among the processes, and their scores."""

    def __init__(self, config: dict[str, Any], data, spec: InputSpec, compute: Compute, log: RunLog):
        self.config, self.data, self.spec, self.compute, self.log = config, data, spec, compute, log
        crf = build_dense_crf(config)
        self.parameters = crf.keywords
        self.images = min(config["tune_crf"], len(data.val))

    def examples(self, predict: Predict) -> Examples:
        """The network's probabilities of this process's images."""
        chosen = [i * len(self.data.val) // self.images for i in range(self.images)]
        batches = evaluation_batches(
            Subset(self.data.val, chosen),
            self.config["batch_size"],
            num_workers=worker_count(self.config["num_workers"], self.compute.device, self.images),
            rank=process_group.rank(),
            world_size=process_group.world_size(),
            spec=self.spec,
        )
        examples = Examples()
        with self.log.progress("predicting", self.images) as advance:
            for samples in batches:
                found = predict(samples).cpu().numpy()
                predict.check(samples)
                for sample, probabilities in zip(samples, found, strict=True):
                    examples.add(sample.rgb, probabilities, sample.mask)
                advance(len(samples) * process_group.world_size())
        return examples

    def search(self, ranges: Ranges, examples: Examples) -> list[Trial]:
        """Every trial, the best first."""
        best = 0.0
        with self.log.progress("tuning", trials_in(ranges)) as advance:

            def show(trial: Trial) -> None:
                nonlocal best
                best = max(best, trial.score)
                advance(1, f"best mean IoU {percent(best)}")

            def score(values: Mapping[str, float]) -> float:
                return self.mean_iou(examples, with_values(self.parameters, values))

            return search(score, ranges, on_trial=show)

    def mean_iou(self, examples: Examples, parameters: Mapping[str, Any]) -> float:
        """Of all processes' images."""
        classes = len(self.data.class_names)
        matrix = torch.zeros(classes, classes, dtype=torch.int64)
        for mask, labels in examples.labels(parameters):
            matrix += confusion_matrix(torch.from_numpy(mask), torch.from_numpy(labels), classes)
        if process_group.world_size() > 1:
            matrix = process_group.sum_over_ranks(matrix.to(self.compute.device)).cpu()
        return scores(matrix, ()).mean_iou or 0.0


def read_ranges(node: Mapping[str, Any], key: str = "") -> dict[str, tuple[float, ...]]:
    """`{bilateral: {sxy: [25, 50]}}` as `{"bilateral.sxy": (25, 50)}`. Raises InputError."""
    ranges: dict[str, tuple[float, ...]] = {}
    for name, values in node.items():
        here = f"{key}{name}"
        if isinstance(values, Mapping):
            ranges |= read_ranges(values, f"{here}.")
        elif values is not None:
            if not fits(values, list[float]) or not values or not all(fits(v, float) for v in values):
                raise InputError(
                    f"crf_ranges.{here} must be a list of numbers, got {values!r}", do="give [25,50,100]"
                )
            if values[0] <= 0 or any(b <= a for a, b in pairwise(values)):
                raise InputError(
                    f"crf_ranges.{here} must be numbers above 0 that ascend, got {values}",
                    do="give [25,50,100]",
                )
            ranges[here] = tuple(values)
    return ranges


def check_ranges(node: Mapping[str, Any], ranges: Ranges) -> None:
    """Raises InputError for a range of what `dense_crf` does not have, or has no one number for."""
    for name in ranges:
        value: Any = node
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if not fits(value, float):
            raise InputError(
                f"crf_ranges.{name}: dense_crf.{name} must be a number, got {value!r}",
                do=f"give dense_crf.{name}=NUMBER, or leave the range out: crf_ranges.{name}=null",
            )


def trials_table(trials: list[Trial], images: int):
    """The best few trials."""
    result = table(f"{len(trials)} trials on {how_many(images, 'image')}", "mean IoU %", *trials[0].values)
    for trial in trials[:SHOWN]:
        result.add_row(percent(trial.score), *(f"{value:g}" for value in trial.values.values()))
    return result


def write_files(folder: Path, tuned: dict[str, Any], trials: list[Trial], images: int) -> None:
    """The option of `dense_crf=`, and every trial."""
    path = folder / "dense_crf" / f"{NAME}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    best = percent(trials[0].score)
    what = f"# Tuned on {images} validation images of {tuned['data']['_target_']}: mean IoU {best} on them\n"
    path.write_text(what + yaml.safe_dump(tuned["dense_crf"], sort_keys=False), encoding="utf-8")
    rows = [[*trial.values.values(), trial.score] for trial in trials]
    write_rows([[*trials[0].values, "mean_iou"], *rows], folder / "trials.csv")
