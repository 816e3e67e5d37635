"""What `segtrain` does with a composed config."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from segtrain.commands.batch_size import find_batch_size
from segtrain.commands.build import (
    build_crf,
    build_data,
    count_parameters,
    with_channels,
)
from segtrain.commands.build_training import (
    build_dataset,
    build_state,
    initialise_weights,
    prepared,
    run_meta,
)
from segtrain.commands.debug import check_unkept, for_debugging, limited, overfit
from segtrain.commands.determinism import refusing_by_name, repeatability
from segtrain.commands.drawings import BATCH, RESULTS, Drawings
from segtrain.commands.evaluate import Validation, open_log
from segtrain.commands.length import settled_interval, settled_steps, take_settled
from segtrain.commands.lr_find import find_rate
from segtrain.commands.made_by import in_words, made_by
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.plan import remarks, show_plan
from segtrain.commands.resume import check_unused, find_resume, restore
from segtrain.config.task import with_task
from segtrain.contracts import Crf, Dataset
from segtrain.data.checks.check import check_start
from segtrain.distributed import process_group
from segtrain.distributed.signals import StopSignals
from segtrain.engine import checkpoint
from segtrain.engine.device import Compute
from segtrain.engine.loader import Augmented
from segtrain.engine.state import TrainState
from segtrain.engine.stopping import stopped_words
from segtrain.engine.train import fit, noticing_a_lost_folder
from segtrain.engine.workers import explaining_workers
from segtrain.evaluation.result import EvaluationResult
from segtrain.files import as_argument
from segtrain.loggers.run_log import RunLog

# The groups that a run is named by in TensorBoard's table.
NAMED = ("model", "model/backbone", "data", "crops", "augment", "loss", "optimizer", "schedule", "inference")
NOT_COMPARED = ("log_every", "val_every", "checkpoint_every", "num_workers", "compile", "deterministic")


@dataclass(frozen=True)
class TrainResult:
    """What a training left.

    Attributes:
        evaluation: the last validation.
        parameters: that are trained.
        seconds_per_step: the median of what was logged; None where no step was taken.
        folder: of the run.
        made_by: what it was made by, see `made_by.made_by`.
    """

    evaluation: EvaluationResult
    parameters: int
    seconds_per_step: float | None
    folder: Path
    made_by: dict[str, Any]

    @property
    def best_checkpoint(self) -> Path:
        """The weights of the best validation."""
        return self.folder / "checkpoints" / checkpoint.BEST

    def as_json(self) -> dict[str, Any]:
        """The dict that `metrics.json` holds."""
        names = ("parameters", "seconds_per_step", "made_by")
        return self.evaluation.as_json() | {name: getattr(self, name) for name in names}

    def _repr_html_(self) -> str:
        return f"{self.evaluation._repr_html_()}<p>{self.folder}</p>"


def run_training(
    config: dict[str, Any],
    choices: dict[str, Any],
    folder: Path,
    others: Callable[[], Iterable[Path]] = tuple,
) -> TrainResult | None:
    """Trains and validates as `config` says, everything below `folder`.

    Args:
        config: resolved.
        choices: the options that the groups of the config were chosen by, `model: fcn8s`.
        others: gives the folders of checkpoints where `resume=auto` may find an unfinished run.

    Returns:
        The last validation, and what else a sweep compares; None of `lr_find` and `debug=overfit`.

    Raises:
        InputError, DivergedError, NotLearned, SaveError: see `errors.py`.
        Stopped: a signal came, and the run is saved.
    """
    config = for_debugging(with_task(config))
    if config.get("lr_find"):
        config = config | {"logger": {}}  # nothing is kept
    compute = prepared(config)
    check_unused(config, folder)
    check_unkept(config, folder)
    with ExitStack() as stack:
        stack.enter_context(process_group.join(compute.device))
        folder = process_group.gathered([folder])[0]  # the first rank's
        stack.enter_context(noticing_a_lost_folder(folder))
        log = stack.enter_context(open_log(config, folder, "train"))
        if not (folder / "config.yaml").exists():  # a resume may yet be refused
            write_yaml(config, folder / "config.yaml")  # again once the data are known
        training = set_up(config, choices, compute, log, others)
        if config.get("lr_find"):
            find_rate(training.state, training.dataset, config["optimizer"]["lr"], log)
            return None
        if config.get("debug") == "overfit":
            overfit(training.state, training.dataset, log)
            return None
        result = trained(training)
        best = result.network.mean_iou or 0.0
        log.hyperparameters(hyperparameters(training.config, choices), {"mean_iou": best})
        say_next_commands(log, folder, refined=config["task"] != "multilabel")
    state, made = training.state, training.state.meta["made_by"]
    return TrainResult(result, count_parameters(state.model), state.seconds_per_step, folder, made)


@dataclass(frozen=True)
class Training:
    """What is about to be trained.

    Attributes:
        config: all of its values settled.
        dataset: of the training split, augmented.
        crf: where it refines the last validation.
    """

    config: dict[str, Any]
    data: Dataset
    dataset: Augmented
    state: TrainState
    crf: Crf | None
    log: RunLog


def set_up(
    config: dict[str, Any],
    choices: dict[str, Any],
    compute: Compute,
    log: RunLog,
    others: Callable[[], Iterable[Path]],
) -> Training:
    """Builds all that a training needs, settles what the config leaves open, and restores the state of a run
    that goes on. Raises InputError."""
    folder, crf = log.folder, build_crf(config)
    with process_group.first_of_each_machine():
        data = build_data(config)
    if config.get("debug") == "limit":
        data = limited(data, config)
    check_start(data, several_labels=config["task"] == "multilabel")
    dataset = build_dataset(config, data, log)
    config["model"] = with_channels(config["model"], dataset.spec.channels)
    source = find_resume(config, folder, others)
    if source is not None:
        take_settled(config, source)
    if config["batch_size"] == "auto":
        config["batch_size"] = find_batch_size(config, dataset, len(data.class_names), compute, log.say)
    config["max_steps"] = settled_steps(config, choices, len(dataset), log.say)
    config["val_every"] = settled_interval(config)
    state = build_state(config, data, dataset, compute, log, source)
    state.run_meta |= run_meta(config, choices, data)
    made = state.meta["made_by"] = made_by(data)
    checkpoint.tidy(folder / "checkpoints")
    if source is None:
        initialise_weights(state, config, log)
    else:
        restore(state, source, config, log, folder, data)
    write_yaml(config, folder / "config.yaml", in_words(made))
    log.start(config, state.step)
    show_plan(state, len(dataset), len(data.val), log)
    epochs = config["max_steps"] * state.batch["images"] / len(dataset)
    for line in remarks(config, choices, epochs):
        log.say(line)
    log.say(repeatability(compute.device, config["deterministic"]))
    return Training(config, data, dataset, state, crf, log)


def trained(training: Training) -> EvaluationResult:
    """Trains, draws, and shows the last validation, which it gives."""
    config, data, dataset, state, crf, log = vars(training).values()
    stop = StopSignals()

    def should_stop() -> bool:
        return process_group.any_rank_so_far(stop.requested)

    keep = state.meta.update
    validation = Validation(data, state.compute, config, log, crf, should_stop, keep, spec=dataset.spec)
    drawings = Drawings(data, log, config["max_steps"], wanted=config["plots"])

    def validate(model: nn.Module, step: int) -> EvaluationResult:
        evaluated = validation(model, step, drawings.add)
        drawings.after_validation(step)
        return evaluated

    with refusing_by_name(config), explaining_workers(), drawings.also_of_a_divergence():
        result = fit(state, dataset, log, validate, stop)
    if words := stopped_words(state):
        log.say(words)
        validation.last_step = drawings.last_step = state.step  # of which nobody knew before
        result = validate(state.evaluated, state.step) if crf is not None else result
        drawings.after_validation(state.step)
    validation.conclude(result)
    return result


def hyperparameters(config: dict[str, Any], choices: dict[str, str]) -> dict[str, Any]:
    """A run's row in a table of runs: the options chosen, the optimizer's and the loop's numbers."""
    numbers = {f"optimizer.{k}": v for k, v in config["optimizer"].items()} | config
    row = {k: v for k, v in numbers.items() if isinstance(v, bool | int | float) and k not in NOT_COMPARED}
    return {group: str(option) for group, option in choices.items() if group in NAMED} | row


def say_next_commands(log: RunLog, folder: Path, *, refined: bool) -> None:
    """Shows the commands to use next.

    Args:
        refined: whether the CRF can refine the predictions.
    """
    best = as_argument("ckpt", f"{relative(folder)}/checkpoints/{checkpoint.BEST}")
    if (folder / RESULTS).exists():
        log.say(f"curves and images:    {relative(folder)}/{RESULTS}, {BATCH}")
    if any(folder.glob("events.out.tfevents*")):
        log.say(f"of all steps:         tensorboard --logdir {shlex.quote(relative(folder.parent))}")
    if refined:
        log.say(f"evaluate with CRF:    segeval {best} crf=true")
    else:
        log.say(f"evaluate:             segeval {best}")
