"""From a resolved config or a checkpoint to built objects."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segtrain.commands.fetch import fetched
from segtrain.config.compose import SAVED_GROUPS, compose_config, plain
from segtrain.config.data_node import make_data
from segtrain.config.instantiate import fits, instantiate
from segtrain.contracts import Crf, Dataset, HasMetrics, Logger, Metric
from segtrain.crf import dense_crf
from segtrain.crf.on_device import DeviceCrf
from segtrain.data.datasets.one_hot import OneHot
from segtrain.engine import checkpoint
from segtrain.engine.building import BuildingFor
from segtrain.engine.checkpoint import BEST, Checkpoint
from segtrain.engine.checkpoint_schema import EVALUATED, check_keys
from segtrain.errors import InputError
from segtrain.input_spec import RGB_CHANNELS, InputSpec
from segtrain.layers.normalize import set_input
from segtrain.losses.composite import CompositeLoss
from segtrain.metrics.per_class import PerClass
from segtrain.tasks import Task


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Loads a checkpoint, the best one of a run's folder, or one from the Hub. Raises InputError, also
    where what it says of itself is not of the form that a run writes."""
    path = fetched(path)
    for folder in (path, path / "checkpoints"):
        if (folder / BEST).is_file():
            path = folder / BEST
    saved = checkpoint.load(path)
    check_keys(saved.meta, EVALUATED, path)
    if "threshold" in saved.meta:  # which `threshold=auto` chose
        saved.meta["config"]["threshold"] = saved.meta["threshold"]
    return saved


def read_checkpoints(paths: list[str]) -> list[Checkpoint]:
    """Loads the checkpoints of an ensemble. Raises InputError where their classes differ."""
    saved = [read_checkpoint(path) for path in paths]
    for path, other in zip(paths, saved, strict=True):
        if other.meta["class_names"] != saved[0].meta["class_names"]:
            raise InputError(
                f"ckpt={path}: its classes are not those of {paths[0]}",
                do="give checkpoints that were trained on the same classes",
            )
        if task_of(other.meta["config"]).multilabel != task_of(saved[0].meta["config"]).multilabel:
            raise InputError(
                f"ckpt={path}: it gives a pixel several classes, or {paths[0]} does",
                do="give checkpoints of one task",
            )
    return saved


def build_network(node: dict[str, Any], spec: InputSpec) -> nn.Module:
    """The model of a config, for the images of a data set.

    Args:
        node: of the model, for RGB.
        spec: of the images.

    Raises:
        InputError: a key that does not fit.
    """
    fitted = with_channels(node, spec.channels)
    _check_channels(fitted, spec.channels)
    model = instantiate(fitted, "model")
    if not isinstance(model, nn.Module):
        raise InputError(f"model._target_={node.get('_target_')} must build a network", do="give another")
    set_input(model, spec)
    return model


def with_channels(node: Any, channels: int) -> Any:
    """A model's config, written for RGB, for images of so many channels. An `in_channels: 1` stays: such a
    model takes RGB by its luminance."""
    if not isinstance(node, dict):
        return node
    return {
        key: channels if key == "in_channels" and value == RGB_CHANNELS else with_channels(value, channels)
        for key, value in node.items()
    }


def _check_channels(node: Any, channels: int, path: str = "model") -> None:
    """Raises InputError where a model would take other channels than the images have, and not their mean."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "in_channels" and value not in (1, channels):
            raise InputError(
                f"{path}.in_channels must be {channels} as in the images, or 1, got {value}",
                do="leave it out",
            )
        _check_channels(value, channels, f"{path}.{key}")


def adapted_stem(node: Any, spec: InputSpec) -> str | None:
    """What the log says of pretrained weights whose first convolution was fitted to other channels."""
    if not isinstance(node, dict):
        return None
    if node.get("pretrained") and node.get("in_channels", spec.channels) != RGB_CHANNELS:
        channels = node.get("in_channels", spec.channels)
        how = "summed over RGB" if channels == 1 else f"repeated over RGB, times 3/{channels}"
        return f"pretrained: the first convolution takes {channels} channels, its kernels {how}"
    return next(filter(None, (adapted_stem(value, spec) for value in node.values())), None)


def saved_input(saved: Checkpoint) -> InputSpec:
    """What the images were that a checkpoint was trained on."""
    return InputSpec.of_json(saved.meta.get("input"))


def restore_model(node: dict[str, Any], saved: Checkpoint) -> nn.Module:
    """The model of a config with a checkpoint's weights, in eval mode. Raises InputError."""
    with BuildingFor(sum(tensor.numel() for tensor in saved.weights().values())):
        model = build_network(node, saved_input(saved))
    result = checkpoint.initialise(model, saved.weights())
    if result.new or result.unused:
        name = (result.new or result.unused)[0]
        raise InputError(
            f"the checkpoint does not fit this model: {len(result.new)} tensors missing and"
            f" {len(result.unused)} left over, the first is {name}",
            do="leave out model= and model.… keys that change the architecture",
        )
    return model.eval()


def build_crf(config: dict[str, Any]) -> Crf | None:
    """The dense CRF with its parameters, where `crf` is on; on a GPU one that refines what lies there.

    Raises:
        InputError: a parameter that does not fit, or a backend that is not installed.
    """
    if not config["crf"]:
        return None
    crf = build_dense_crf(config)
    keywords = dict(crf.keywords)
    backend, dropped = keywords.pop("backend", "auto"), keywords.pop("drop_below", 0)
    of_a_gpu = config["device"] != "cpu" and torch.cuda.is_available()
    if crf.func is dense_crf and of_a_gpu and backend in ("auto", "torch", "triton") and not dropped:
        return DeviceCrf(**keywords, backend="torch" if backend == "auto" else backend)
    return crf


def build_dense_crf(config: dict[str, Any]) -> partial:
    """`dense_crf=` with its parameters, of arrays. Raises InputError, as `build_crf`."""
    node, classes = config["dense_crf"], config["data"]["num_classes"]
    if config["device"] == "cpu" and node.get("backend", "auto") == "auto":
        node = node | {"backend": "numba"}  # by itself it would take a GPU that is there
    crf = instantiate(node, "dense_crf", partial=True)
    equal = np.full((classes, 2, 2), 1 / classes, np.float32)
    crf(np.zeros((2, 2, 3), np.uint8), equal)  # its faults come now
    return crf


def saved_config(config: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint carries of the config: enough to evaluate, nothing of this machine's run."""
    groups = {group: config[group] for group in SAVED_GROUPS}
    return groups | {key: config[key] for key in ("task", "threshold") if key in config}


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def build_data(config: dict[str, Any]) -> Dataset:
    """The data set of `data=`, for the task. Raises InputError."""
    data = make_data(config["data"])
    return OneHot(data) if task_of(config).multilabel else data


def build_loss(config: dict[str, Any]) -> CompositeLoss:
    """The loss of `loss=`, one term or several, each with its `weight`. Raises InputError."""
    if not config["loss"]:
        raise InputError("loss has no term", do="choose one: loss=cross_entropy")
    terms, weights = {}, {}
    for name, node in config["loss"].items():
        if not isinstance(node, dict) or "_target_" not in node:
            raise InputError(f"loss.{name}={node}: no such loss", do=f"choose it: loss=[...,{name}]")
        weights[name] = node.get("weight", 1.0)
        if not fits(weights[name], float):
            raise InputError(
                f"loss.{name}.weight must be a number, got {weights[name]!r}", do="give a number"
            )
        terms[name] = instantiate({k: v for k, v in node.items() if k != "weight"}, f"loss.{name}")
    return CompositeLoss(terms, weights, task_of(config))


def task_of(config: dict[str, Any]) -> Task:
    """What the logits mean; a threshold that is still to be chosen begins at 0.5."""
    threshold = config.get("threshold", 0.5)
    return Task(config.get("task", "softmax"), threshold if isinstance(threshold, float | int) else 0.5)


def build_metrics(config: dict[str, Any], data: Dataset) -> Callable[[], list[Metric]]:
    """What makes the metrics of `metric=` and the data set's own, anew at every call.

    Raises:
        InputError: a metric that does not fit.
    """
    nodes = dict(config.get("metric") or {})
    task, names = task_of(config), tuple(data.class_names)
    own = list(data.extra_metrics) if isinstance(data, HasMetrics) else []
    own += ["average_precision"] if task.name != "softmax" else []
    own = [name for name in own if name not in nodes]
    if own:
        options = f"metric=[{','.join(own)}]"
        nodes |= plain(compose_config("train", [options, f"data.num_classes={len(data.class_names)}"]))[
            "metric"
        ]

    def make_one(name: str) -> Metric:
        node = nodes[name]
        if not task.multilabel:
            return instantiate(node, f"metric.{name}")
        yes_or_no = node | ({"num_classes": 2} if "num_classes" in node else {})
        return PerClass(partial(instantiate, yes_or_no, f"metric.{name}"), names)

    def make() -> list[Metric]:
        return [make_one(name) for name in nodes]

    make()  # what does not fit is said now
    return make


def build_loggers(config: dict[str, Any]) -> dict[str, Logger]:
    """The loggers of `logger=`, by name. Raises InputError."""
    nodes = config.get("logger") or {}
    return {name: instantiate(node, f"logger.{name}") for name, node in nodes.items()}
