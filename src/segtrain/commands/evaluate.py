"""What `segeval` does with a composed config, and every validation of `segtrain`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segtrain.commands.build import (
    build_crf,
    build_data,
    build_loggers,
    build_metrics,
    count_parameters,
    restore_model,
    saved_input,
    task_of,
)
from segtrain.commands.cost import start_peak
from segtrain.commands.for_reports import ForReports, measured_cost
from segtrain.commands.leakage import check_leakage
from segtrain.commands.made_by import in_words, made_by
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.titles import drawing_of
from segtrain.config.instantiate import instantiate
from segtrain.contracts import Crf, Dataset, HasSubmission
from segtrain.data.datasets.splits import split_of
from segtrain.data.datasets.submission import Submission
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute, choose
from segtrain.engine.worker_count import worker_count
from segtrain.errors import InputError
from segtrain.evaluation.evaluate import EvaluationSettings, ImageResult, evaluate_split
from segtrain.evaluation.image_counts import ImageCounts
from segtrain.evaluation.predictor import Ensemble, Predict, Predictor, evaluating
from segtrain.evaluation.report import Report
from segtrain.evaluation.result import STORED, EvaluationResult
from segtrain.files import inside
from segtrain.input_spec import RGB8, InputSpec
from segtrain.loggers.run_log import RunLog
from segtrain.metrics.regions import Scores, class_counts
from segtrain.viz.drawing import confusion_figure, figure_image, save_labels, strip
from segtrain.viz.tables import METRIC_LABELS, evaluation_table, percent
from segtrain.wording import how_many

IMAGES = 4  # validation images that are logged


def evaluate_checkpoints(
    configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path
) -> tuple[EvaluationResult, dict[str, Any]]:
    """Evaluates a checkpoint's model, or an ensemble of several, on the split of `split`.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set, the CRF and the
            scalars are the first one's.
        folder: of the run.

    Returns:
        The result, and what `metrics.json` holds beside it.
    """
    config = configs[0]
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), open_log(config, folder, "eval") as log:
        data = build_data(config)
        made = made_by(data)
        write_yaml(config, folder / "config.yaml", in_words(made))
        log.start(config)
        validation = Validation(data, compute, config, log, build_crf(config), spec=saved_input(saved[0]))
        check_leakage(configs, saved, validation.images, validation.split, log)
        predict, parameters = build_predictor(configs, saved, compute)
        result, _ = examine(validation, predict, saved[0].meta["step"])
        log.say(f"metrics: {relative(folder)}/metrics.json")
    return result, {"parameters": parameters, "made_by": made}


def open_log(config: dict[str, Any], folder: Path, command: str) -> RunLog:
    """The log of a run, with the loggers of `logger=`, on rank 0."""
    silent = process_group.rank() > 0
    loggers = {} if silent else build_loggers(config)
    return RunLog(folder, command, loggers=loggers, silent=silent, **drawing_of(config, folder))


def examine(validation: Validation, predict: Predict, step: int) -> tuple[EvaluationResult, Report]:
    """A whole evaluation: shows the result with its intervals, and writes the files of a report into the
    log's folder."""
    report = Report(validation.data.class_names, validation.data.palette)

    def on_image(image: ImageResult) -> None:
        report.add(image)
        if validation.submission:
            submit(image, validation.submission, validation.log.folder / "submission", validation.split)

    result = validation.of(predict, step, on_image)
    report.gather()
    result = report.with_intervals(result)
    log = validation.log
    report.write(log.folder, result, log.title, log.formats)
    validation.conclude(result)
    return result, report


def result_table(result: EvaluationResult):
    """The table of a result, for the terminal."""
    of = "" if result.split == "val" else f" of the {result.split} split"
    title = f"{how_many(result.images, 'image')}{of}, {result.seconds:.1f} s"
    gain = result.crf_gain and result.crf_gain.interval
    return evaluation_table(title, result.network, result.crf, gain)


def precision_of(result: EvaluationResult) -> str:
    """The line that says how exactly was computed: bfloat16 changes up to 0.04 % of the labels."""
    if result.precision == STORED:
        return "predictions from files: no network was run"
    if result.precision == "32":
        return "precision: 32"
    return f"precision: {result.precision}; for numbers to compare with a paper or to publish: precision=32"


def submit(image: ImageResult, submission: Submission, folder: Path, split: str = "val") -> None:
    """Writes an image's prediction, after the CRF where there is one, as the server wants it.

    Raises:
        InputError: the image's name would lead out of the folder.
        SaveError: the file cannot be written.
    """
    path = inside(folder, submission.place(image.sample.name, split))
    save_labels(submission.labels(image.final), path, submission.palette)


def build_predictor(
    configs: list[dict[str, Any]], saved: list[Checkpoint], compute: Compute
) -> tuple[Predict, int]:
    """A checkpoint's model with its inference, or the ensemble of several; and its parameters."""
    members: list[Predict] = []
    parameters = 0
    for node, checkpointed in zip(configs, saved, strict=True):
        model = restore_model(node["model"], checkpointed)
        model = model.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters += count_parameters(model)
        inference = instantiate(node["inference"], "inference")
        members.append(Predictor(model, inference, compute, task_of(node)))
    return members[0] if len(members) == 1 else Ensemble(members, configs[0]["ensemble"]), parameters


class Validation:
    """Evaluates on the validation split, or that of `split`, logs the metrics and a few images.

    The CRF, where there is one, takes part in the run's last validation only: it may take longer
    than the network.

    Args:
        data: the data set; `config`: resolved.
        crf: the dense CRF, or None.
        should_stop: asked after every image.
        keep: gets {"threshold": T} where `threshold=auto` chose one, for the checkpoint.
        spec: of the images.

    Raises:
        InputError: an unknown metric, no such split, or a submission of data that no server scores.
    """

    def __init__(
        self,
        data: Dataset,
        compute: Compute,
        config: dict[str, Any],
        log: RunLog,
        crf: Crf | None,
        should_stop: Callable[[], bool] = lambda: False,
        keep: Callable[[dict[str, Any]], object] = lambda _: None,
        *,
        spec: InputSpec = RGB8,
    ):
        self.spec = spec
        self.data, self.compute, self.log, self.crf, self.should_stop = data, compute, log, crf, should_stop
        self.task, self.keep = task_of(config), keep
        self.split: str = config.get("split", "val")
        self.images = split_of(data, self.split)
        self._counted: list[tuple[int, str, np.ndarray]] = []  # of the last evaluation, on this rank
        self.inference = instantiate(config["inference"], "inference")
        self.last_step = config.get("max_steps")
        choose = config.get("threshold") == "auto"
        workers = worker_count(config["num_workers"], compute.device, len(data.val))
        self.settings = EvaluationSettings(config["batch_size"], workers, choose)
        self.compiled, self.plots = bool(config.get("compile")), config.get("plots", True)
        start_peak(compute)
        self.make_metrics = build_metrics(config, data)
        self.submission: Submission | None = None
        if config.get("submission"):
            if not isinstance(data, HasSubmission) or data.submission is None:
                raise InputError(
                    "submission=true: no server scores this data set", do="use data=voc, cityscapes or ade20k"
                )
            self.submission = data.submission

    def __call__(
        self, model: nn.Module, step: int, on_image: Callable[[ImageResult], None] = lambda _: None
    ) -> EvaluationResult:
        with evaluating(model):
            result = self.of(Predictor(model, self.inference, self.compute, self.task), step, on_image)
        if self.settings.choose_threshold:
            threshold = result.network.extra["threshold"]
            self.task = self.task._replace(threshold=threshold)
            self.keep({"threshold": threshold})
        return result

    def of(
        self, predict: Predict, step: int, on_image: Callable[[ImageResult], None] = lambda _: None
    ) -> EvaluationResult:
        """Evaluates a model or an ensemble; `on_image` gets the result of every image."""
        last = self.last_step in (None, step)
        crf = self.crf if last else None
        left = ForReports(len(self.images), self.data, plots=self.plots) if last else None
        self._counted.clear()

        def show(image: ImageResult) -> None:
            if image.position < IMAGES:
                drawn = strip(image.sample, image.network, image.crf, self.data.palette)
                self.log.image(step, f"{self.split}/{image.position}_{image.sample.name}", drawn)
            counts = class_counts(image.matrices[-1]).numpy()
            self._counted.append((image.position, image.sample.name, counts))
            if left:  # labels from files come with a probability of 1, where a metric asks for any
                stored = self.compute.precision == STORED
                left.add(image._replace(confidence=None) if stored else image)
            on_image(image)

        with self.log.progress("evaluating", len(self.images)) as advance:
            result = evaluate_split(
                predict,
                self.images,
                self.data.class_names,
                self.compute.device,
                self.settings,
                crf=crf,
                make_metrics=self.make_metrics,
                spec=self.spec,
                on_image=show,
                advance=advance,
                should_stop=self.should_stop,
                confident=left.positions if left and self.compute.precision != STORED else (),
            )
        result = replace(result, precision=self.compute.precision, split=self.split)
        if left:
            left.write(self.log)
            cost = measured_cost(predict, self.images, self.spec, self.compute, compiled=self.compiled)
            result = replace(result, cost=cost)
        self._log(step, result)
        self.log.say(summary(result) if result.precision == STORED else f"step {step}: {summary(result)}")
        if result.network.pixel_accuracy is None:
            self.log.say("no pixel of these images has a label: there is nothing to measure")
        return result

    def conclude(self, result: EvaluationResult) -> None:
        """Shows the last evaluation's result, and writes its image_counts.npz; called on every rank."""
        self.log.say(result_table(result))
        self.log.say(precision_of(result))
        counted = sorted(process_group.gathered(self._counted), key=lambda one: one[0])
        if process_group.rank() == 0 and counted:
            _, names, counts = zip(*counted, strict=True)
            ImageCounts(list(names), np.stack(counts)).save(self.log.folder)

    def _log(self, step: int, result: EvaluationResult) -> None:
        """The network's metrics by their names, the CRF's with `_crf`; each class's IoU and the confusion
        matrix of the final predictions."""
        values = numbers(result.network)
        if result.crf is not None:
            values |= {f"{name}_crf": value for name, value in numbers(result.crf).items()}
        per_class = {name: metrics["iou"] for name, metrics in result.final.per_class.items()}
        if not self.log.has_logged(step, self.split):
            self.log.scalars(step, "iou", per_class)
        if self.plots and not result.final.several_labels:
            figure = confusion_figure(
                result.final.confusion_matrix, self.data.class_names, f"{self.log.title}, step {step}"
            )
            self.log.image(step, "confusion_matrix", figure_image(figure))
        self.log.scalars(step, self.split, values)


def numbers(scores: Scores) -> dict[str, float | None]:
    """The metrics that are single numbers, by name."""
    extra = {k: v for k, v in scores.extra.items() if v is None or isinstance(v, float | int)}
    return {key: getattr(scores, key) for key in METRIC_LABELS} | extra


def summary(result: EvaluationResult) -> str:
    """The four metrics in a line, with and without the CRF."""

    def line(scores: Scores) -> str:
        return ", ".join(f"{label} {percent(getattr(scores, key))}" for key, label in METRIC_LABELS.items())

    if result.crf is not None:
        return f"without CRF {line(result.network)}; with CRF {line(result.crf)}"
    return line(result.network)
