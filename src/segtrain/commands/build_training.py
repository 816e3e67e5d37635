"""From a resolved config to the state of a training: the training images, the network and its loss,
optimizer and schedule."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segtrain.commands.build import (
    adapted_stem,
    build_loss,
    build_network,
    read_checkpoint,
    saved_config,
)
from segtrain.commands.determinism import make_deterministic
from segtrain.commands.resume import bounded_by, fingerprint
from segtrain.commands.sanity_check import check_groups, first_forward_pass
from segtrain.config.compose import offline
from segtrain.config.instantiate import instantiate
from segtrain.contracts import Dataset
from segtrain.contracts.optional import HasSavedKeys
from segtrain.data.augment.fitting import fit_transforms, refuse_colour_changes
from segtrain.data.checks.frequencies import class_frequencies, median_frequency_weights
from segtrain.data.checks.input import measure_input
from segtrain.engine import checkpoint
from segtrain.engine.compilation import compile_network
from segtrain.engine.device import Compute, choose, keep_freed_memory
from segtrain.engine.freezing import freeze, hold_frozen
from segtrain.engine.loader import Augmented
from segtrain.engine.state import TrainSettings, TrainState, freeze_norms
from segtrain.engine.worker_count import worker_count
from segtrain.errors import InputError, SegtrainError
from segtrain.loggers.run_log import RunLog
from segtrain.losses.composite import CompositeLoss
from segtrain.weights import fit_image_kernels


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
    source: Path | None,
) -> TrainState:
    """The model on its device, its loss, optimizer and schedule. What a first step would fail at is
    said before anything is counted. A model that is resumed from `source` fetches no weights."""
    node = offline(config["model"]) if source else config["model"]
    with bounded_by(source, config):
        model, loss = build_trainable(config, node, dataset, compute)
    if stem := adapted_stem(node, dataset.spec):
        log.say(stem)
    first_forward_pass(model, loss, config["batch_size"], dataset, len(data.class_names), compute)
    if config["compile"]:
        compile_network(model, log.say)
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
        settings=train_settings(config, dataset, compute),
        meta=meta,
    )


def build_trainable(
    config: dict[str, Any], node: dict[str, Any], dataset: Augmented, compute: Compute
) -> tuple[nn.Module, CompositeLoss]:
    """The network of a model's node, frozen where it is to be, on its device; and the loss."""
    model, loss = build_network(node, dataset.spec).train(), build_loss(config)
    if config["freeze_norm"]:
        freeze_norms(model)
    freeze(model, config["freeze"])
    hold_frozen(model, config["freeze"])
    model = model.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, loss


def train_settings(config: dict[str, Any], dataset: Augmented, compute: Compute) -> TrainSettings:
    """The scalars of the loop, `num_workers` a number."""
    sample, workers, size = dataset[0, 0], config["num_workers"], config["batch_size"]
    if workers == "auto" and not isinstance(sample, SegtrainError):
        batches, sample_bytes = math.ceil(len(dataset) / size), sample.image.nbytes + sample.mask.nbytes
        workers = worker_count(workers, compute.device, batches, size * sample_bytes)
    given = {name: config[name] for name in TrainSettings.__dataclass_fields__}
    return TrainSettings(**given | {"num_workers": workers})


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
