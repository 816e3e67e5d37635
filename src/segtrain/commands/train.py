"""What `segtrain` does with a composed config."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segtrain.commands.build import (
    adapted_stem,
    build_crf,
    build_data,
    build_loss,
    build_network,
    count_parameters,
    read_checkpoint,
    saved_config,
    with_channels,
)
from segtrain.commands.determinism import make_deterministic, refusing_by_name, repeatability
from segtrain.commands.drawings import BATCH, RESULTS, Drawings
from segtrain.commands.evaluate import Validation, open_log
from segtrain.commands.made_by import in_words, made_by
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.plan import show_plan
from segtrain.commands.resume import check_unused, find_resume, fingerprint, restore
from segtrain.commands.sanity_check import check_groups, first_forward_pass
from segtrain.config.compose import offline
from segtrain.config.instantiate import instantiate
from segtrain.config.task import with_task
from segtrain.contracts import Dataset
from segtrain.contracts.optional import HasSavedKeys
from segtrain.data.augment.fitting import fit_transforms, refuse_colour_changes
from segtrain.data.checks.check import check_start
from segtrain.data.checks.frequencies import class_frequencies, median_frequency_weights
from segtrain.data.checks.input import measure_input
from segtrain.distributed import process_group
from segtrain.distributed.signals import StopSignals
from segtrain.engine import checkpoint
from segtrain.engine.device import Compute, choose, keep_freed_memory
from segtrain.engine.freezing import freeze, hold_frozen
from segtrain.engine.loader import Augmented
from segtrain.engine.state import TrainSettings, TrainState, freeze_norms
from segtrain.engine.train import fit, noticing_a_lost_folder
from segtrain.engine.workers import explaining_workers
from segtrain.errors import InputError
from segtrain.evaluation.result import EvaluationResult
from segtrain.files import as_argument
from segtrain.loggers.run_log import RunLog
from segtrain.losses.composite import CompositeLoss
from segtrain.weights import fit_image_kernels

# The groups that a run is named by in TensorBoard's table.
NAMED = ("model", "model/backbone", "data", "crops", "augment", "loss", "optimizer", "schedule", "inference")
NOT_COMPARED = ("log_every", "val_every", "checkpoint_every", "num_workers", "compile", "deterministic")


@dataclass(frozen=True)
class TrainResult:
    """What a training left.

    Attributes:
        evaluation: the last validation.
        parameters: that are trained.
        seconds_per_step: of the last logged steps; None where none was taken.
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
) -> TrainResult:
    """Trains and validates as `config` says, everything below `folder`.

    Args:
        config: resolved.
        choices: the options that the groups of the config were chosen by, `model: fcn8s`.
        others: gives the folders of checkpoints where `resume=auto` may find an unfinished run.

    Returns:
        The last validation, and what else a sweep compares.

    Raises:
        InputError, DivergedError, SaveError: see `errors.py`.
        Stopped: a signal came, and the run is saved.
    """
    config = with_task(config)
    compute = prepared(config)
    check_unused(config, folder)
    with ExitStack() as stack:
        stack.enter_context(process_group.join(compute.device))
        folder = process_group.gathered([folder])[0]  # the first rank's
        stack.enter_context(noticing_a_lost_folder(folder))
        log = stack.enter_context(open_log(config, folder, "train"))
        write_yaml(config, folder / "config.yaml")  # again once the data are known
        crf = build_crf(config)
        with process_group.first_of_each_machine():
            data = build_data(config)
        check_start(data, several_labels=config["task"] == "multilabel")
        dataset = build_dataset(config, data, log)
        config["model"] = with_channels(config["model"], dataset.spec.channels)
        source = find_resume(config, folder, others)
        state = build_state(config, data, dataset, compute, log, resumed=source is not None)
        state.run_meta |= run_meta(config, choices, data)
        made = state.meta["made_by"] = made_by(data)
        write_yaml(config, folder / "config.yaml", in_words(made))
        checkpoint.tidy(folder / "checkpoints")
        if source is None:
            initialise_weights(state, config, log)
        else:
            restore(state, source, config, log, folder, data)
        log.start(config, state.step)
        show_plan(state, len(dataset), len(data.val), log)
        log.say(repeatability(compute.device, config["deterministic"]))

        stop = StopSignals()

        def should_stop() -> bool:
            return process_group.any_rank_so_far(stop.requested)

        keep = state.meta.update
        validation = Validation(data, compute, config, log, crf, should_stop, keep, spec=dataset.spec)
        drawings = Drawings(data, log, config["max_steps"])

        def validate(model: nn.Module, step: int) -> EvaluationResult:
            evaluated = validation(model, step, drawings.add)
            drawings.after_validation(step)
            return evaluated

        with refusing_by_name(config), explaining_workers(), drawings.also_of_a_divergence():
            result = fit(state, dataset, log, validate, stop)
        validation.conclude(result)
        log.hyperparameters(hyperparameters(config, choices), {"mean_iou": result.network.mean_iou or 0.0})
        say_next_commands(log, folder, refined=config["task"] != "multilabel")
    return TrainResult(result, count_parameters(state.model), state.seconds_per_step, folder, made)


def prepared(config: dict[str, Any]) -> Compute:
    """Checks every key, prepares torch, and chooses the device. Raises InputError."""
    check_groups(config)
    keep_freed_memory()
    torch.manual_seed(config["seed"])
    make_deterministic(config["deterministic"])
    return choose(config["device"], str(config["precision"]))


def build_dataset(config: dict[str, Any], data: Dataset, log: RunLog) -> Augmented:
    """The training split, its images or the crops of `crops=`, under the augmentation."""
    transforms = instantiate(config["augment"], "augment")
    spec = measure_input(data, log.say, partial(refuse_colour_changes, transforms))
    log.say(f"images: {spec.words()}")
    images = data.train
    if config.get("crops"):
        log.say("looking for objects in every mask, once")
        images = instantiate(config["crops"], "crops", partial=True)(images)
    return Augmented(images, fit_transforms(transforms, spec), seed=config["seed"], spec=spec)


def build_state(
    config: dict[str, Any],
    data: Dataset,
    dataset: Augmented,
    compute: Compute,
    log: RunLog,
    *,
    resumed: bool,
) -> TrainState:
    """The model on its device, its loss, optimizer and schedule. What a first step would fail at is
    said before anything is counted. A resumed model fetches no weights."""
    node = offline(config["model"]) if resumed else config["model"]
    model, loss = build_network(node, dataset.spec).train(), build_loss(config)
    if stem := adapted_stem(node, dataset.spec):
        log.say(stem)
    if config["freeze_norm"]:
        freeze_norms(model)
    freeze(model, config["freeze"])
    hold_frozen(model, config["freeze"])
    model = model.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    first_forward_pass(model, loss, config["batch_size"], dataset, len(data.class_names), compute)
    if config["compile"]:
        model.compile()
    balance_classes(loss, data, log)
    saved = saved_config(config) | {"loss": config["loss"]}
    if isinstance(model, HasSavedKeys):
        saved["model"] = saved["model"] | model.saved_keys()
    meta = {
        "config": saved,
        "class_names": list(data.class_names),
        "palette": [list(colour) for colour in data.palette],
        "input": dataset.spec.as_json(),
    }
    return TrainState(
        model=model,
        loss=loss,
        optimizer=instantiate(config["optimizer"], "optimizer", partial=True)(model),
        schedule=instantiate(config["schedule"], "schedule"),
        compute=compute,
        settings=TrainSettings(**{name: config[name] for name in TrainSettings.__dataclass_fields__}),
        meta=meta,
    )


def run_meta(config: dict[str, Any], choices: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """What last.ckpt carries beside, for `resume=`: the rest of the config, and which images it is of."""
    saved = {*saved_config(config), "loss"}
    rest = {key: value for key, value in config.items() if key not in saved}
    return {"training": rest, "choices": choices, "images": fingerprint(data)}


def balance_classes(loss: CompositeLoss, data: Dataset, log: RunLog) -> None:
    """Computes median-frequency weights from the training split's whole images, where the loss wants them."""
    names = data.class_names
    if loss.wants_frequencies:
        log.say("counting every class's pixels, once")
        weights = median_frequency_weights(class_frequencies(data.train, len(names)))
        loss.balance(weights)
        rounded = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True))
        log.say(f"class weights: {rounded}")
    loss.check(len(names))


def initialise_weights(state: TrainState, config: dict[str, Any], log: RunLog) -> None:
    """Loads the weights of `init_from` that fit, and shows which did."""
    if not config["init_from"]:
        return
    weights, own = read_checkpoint(config["init_from"]).weights(), state.model.state_dict()
    fitted = {name: fit_image_kernels(value, own[name]) for name, value in weights.items() if name in own}
    result = checkpoint.initialise(state.model, weights | fitted)
    if not result.loaded:
        raise InputError(f"init_from={config['init_from']}: no tensor fits this model", do="give another")
    parts = Counter(name.split(".")[0] for name in result.loaded)
    loaded = ", ".join(f"{part} ({count} tensors)" for part, count in parts.items())
    log.say(f"init_from {config['init_from']}")
    log.say(f"  loaded: {loaded}")
    for name in (name for name, value in fitted.items() if value is not weights[name]):
        log.say(f"  fitted to {fitted[name].shape[1]} channels: {name}")
    log.say(f"  new: {', '.join(result.new) or 'nothing'}")
    log.say(f"  left out: {', '.join(result.unused) or 'nothing'}")


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
    log.say(f"curves and images:    {relative(folder)}/{RESULTS}, {BATCH}")
    log.say(f"of all steps:         tensorboard --logdir {shlex.quote(relative(folder.parent))}")
    if refined:
        log.say(f"evaluate with CRF:    segeval {best} crf=true")
    else:
        log.say(f"evaluate:             segeval {best}")
