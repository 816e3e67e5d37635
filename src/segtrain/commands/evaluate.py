"""What `segeval` does with a composed config, and every validation of `segtrain`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segtrain.commands.build import build_crf, count_parameters, restore_model
from segtrain.commands.paths import relative, write_yaml
from segtrain.config.instantiate import instantiate
from segtrain.data.datasets.submission import Submission
from segtrain.distributed import process_group
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute, choose
from segtrain.errors import InputError
from segtrain.evaluation.evaluate import Extra, Seen, evaluate
from segtrain.evaluation.evaluate import Settings as EvaluationSettings
from segtrain.evaluation.predictor import Ensemble, Predict, Predictor, evaluating
from segtrain.evaluation.report import Report
from segtrain.loggers.run_log import METRIC_LABELS, RunLog, evaluation_table, percent
from segtrain.metrics.boundary import BFScore, BoundaryIoU, Trimap
from segtrain.metrics.calibration import Calibration
from segtrain.viz.drawing import save_labels, strip

EXTRA_METRICS: dict[str, Callable[[int], list[Extra]]] = {  # of a number of classes
    "boundary": lambda classes: [Trimap(classes), BoundaryIoU(classes), BFScore()],
    "calibration": lambda _: [Calibration()],
    "neurites": lambda classes: [_neurites(classes)],
}
IMAGES = 4  # validation images that TensorBoard shows


def evaluate_checkpoints(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> dict:
    """Evaluates a checkpoint's model, or an ensemble of several, on the validation split.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set, the CRF and the
            switches are the first one's.
    """
    config = configs[0]
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), RunLog(folder, "eval", silent=process_group.rank() > 0) as log:
        write_yaml(config, folder / "config.yaml")
        validation = Validation(instantiate(config["data"], "data"), compute, config, log, build_crf(config))
        predict, parameters = build_predictor(configs, saved, compute)
        metrics, _ = examine(validation, predict, saved[0].meta["step"])
        log.say(f"metrics: {relative(folder)}/metrics.json")
    return metrics | {"parameters": parameters}


def examine(validation: "Validation", predict: Predict, step: int) -> tuple[dict, Report]:
    """A whole evaluation: the metrics with their intervals, printed, and every image's, written into
    the log's folder."""
    report = Report(validation.data.class_names, validation.data.palette)

    def watch(seen: Seen) -> None:
        report.watch(seen)
        if validation.submission:
            submit(seen, validation.submission, validation.log.folder / "submission")

    metrics = validation.of(predict, step, watch)
    report.gather()
    metrics = report.with_intervals(metrics)
    report.write(validation.log.folder, metrics)
    validation.log.say(evaluation_table(metrics))
    return metrics, report


def submit(seen: Seen, submission: Submission, folder: Path) -> None:
    """Writes an image's labels, those after the CRF where there is one, as the server wants them."""
    labels = seen.predicted if seen.refined is None else seen.refined
    path = folder / submission.path.format(name=seen.sample.name)
    save_labels(submission.labels(labels), path, submission.palette)


def build_predictor(
    configs: list[dict[str, Any]], saved: list[Checkpoint], compute: Compute
) -> tuple[Predict, int]:
    """A checkpoint's model with its way of inference, or the ensemble of several; and its parameters."""
    members, parameters = [], 0
    for node, checkpointed in zip(configs, saved, strict=True):
        model = restore_model(node["model"], checkpointed)
        model = model.to(compute.device, memory_format=torch.channels_last)
        parameters += count_parameters(model)
        members.append(Predictor(model, instantiate(node["inference"], "inference"), compute))
    return members[0] if len(members) == 1 else Ensemble(members, configs[0]["ensemble"]), parameters


class Validation:
    """Evaluates on the validation split, logs the metrics and a few images of them.

    The CRF, where there is one, takes part in the run's last validation only: it may take longer
    than the network. `interrupted` is asked after every image whether to break off.
    """

    def __init__(
        self,
        data,
        compute: Compute,
        config: dict[str, Any],
        log: RunLog,
        crf: partial | None,
        interrupted: Callable[[], bool] = lambda: False,
    ):
        self.data, self.compute, self.log, self.crf, self.interrupted = data, compute, log, crf, interrupted
        self.inference = instantiate(config["inference"], "inference")
        self.last_step = config.get("max_steps")
        self.settings = EvaluationSettings(config["batch_size"], config["num_workers"])
        names = {*getattr(data, "extra_metrics", ()), *config.get("metrics", ())}
        self.extra = partial(extra_metrics, sorted(names), len(data.class_names))
        self.extra()  # an unknown name is told now
        self.submission = getattr(data, "submission", None) if config.get("submission") else None
        if config.get("submission") and self.submission is None:
            raise InputError(
                "submission=true: no server scores this data set", do="use data=voc, cityscapes or ade20k"
            )

    def __call__(self, model: nn.Module, step: int) -> dict:
        with evaluating(model):
            return self.of(Predictor(model, self.inference, self.compute), step)

    def of(self, predict: Predict, step: int, watch: Callable[[Seen], None] = lambda _: None) -> dict:
        """The metrics of whatever predicts, a model or an ensemble; `watch` gets every image."""
        crf = self.crf if self.last_step in (None, step) else None

        def show(seen: Seen) -> None:
            if seen.index < IMAGES:
                image = strip(seen.sample, seen.predicted, seen.refined, self.data.palette)
                self.log.image(step, f"val/{seen.index}_{seen.sample.name}", image)
            watch(seen)

        with self.log.progress("evaluating", len(self.data.val)) as advance:
            metrics = evaluate(
                predict,
                self.data.val,
                self.data.class_names,
                self.compute.device,
                self.settings,
                crf=crf,
                extra=self.extra,
                watch=show,
                advance=advance,
                interrupted=self.interrupted,
            )
        self.log.evaluation(step, metrics, self.data.class_names)
        self.log.say(f"step {step}: {summary(metrics)}")
        return metrics


def _neurites(classes: int) -> Extra:
    if classes != 2:
        raise InputError(
            f"metrics=[neurites] with {classes} classes", do="it tells cells from membrane: give data of 2"
        )
    from segtrain.metrics.neurites import Neurites  # SciPy takes a third of a second to import

    return Neurites()


def extra_metrics(names: list[str], num_classes: int) -> list[Extra]:
    """New metrics by their names. Raises InputError."""
    unknown = [name for name in names if name not in EXTRA_METRICS]
    if unknown:
        raise InputError(f"metrics=[{unknown[0]}]", do=f"give some of {', '.join(EXTRA_METRICS)}")
    return [metric for name in names for metric in EXTRA_METRICS[name](num_classes)]


def summary(metrics: dict) -> str:
    """The four metrics in a line, with and without the CRF."""

    def line(values: dict) -> str:
        return ", ".join(f"{label} {percent(values[key])}" for key, label in METRIC_LABELS.items())

    if "without_crf" in metrics:
        return f"without CRF {line(metrics['without_crf'])}; with CRF {line(metrics)}"
    return line(metrics)
