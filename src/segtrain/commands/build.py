"""From a resolved config or a checkpoint to models and data sets; the Python API's two functions."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from segtrain.config.compose import SAVED_GROUPS, check_trust, compose_config, offline, plain
from segtrain.config.instantiate import describe, fits, instantiate
from segtrain.config.wording import CONFIG_ERRORS, explain
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint import BEST, Checkpoint
from segtrain.errors import InputError

META = {"config": dict, "step": int, "class_names": list[str], "palette": list[list[int]]}


def build_model(
    name: str, *, num_classes: int, backbone: str | dict | None = None, width: float = 1.0, **overrides
) -> nn.Module:
    """A model of the zoo by the name of its YAML: `build_model("fcn8s", num_classes=21)`.

    Args:
        name: an option of `model=`.
        backbone: an option of `model/backbone=`, or a dict of its keys.
        width: multiplies every number of channels.
        overrides: keys of the model's YAML.

    Raises:
        InputError: an unknown name or key, or a value of the wrong type.
    """
    chosen = [f"model={name}"] + ([f"model/backbone={backbone}"] if isinstance(backbone, str) else [])
    try:
        node = compose_config("train", [*chosen, f"data.num_classes={num_classes}", f"width={width}"])
        model = plain(node)["model"]
    except CONFIG_ERRORS as error:
        raise explain(error, "train") from error
    if isinstance(backbone, dict):
        model["backbone"] |= backbone
    return instantiate(model | overrides, "model")


def load_model(path: str | Path, *, trust: str | None = None) -> nn.Module:
    """The trained model of a checkpoint in eval mode, with `class_names` and `palette`.

    Args:
        path: a checkpoint, or the folder of a run (its best.ckpt).
        trust: a package outside segtrain whose classes the checkpoint may name.

    Raises:
        InputError: not a checkpoint, damaged, or one that names other code.
    """
    saved = read_checkpoint(path)
    config = saved.meta["config"]
    check_trust(config, "config", trust)
    model = restore_model(offline(config["model"]), saved)
    model.class_names = tuple(saved.meta["class_names"])
    model.palette = tuple(map(tuple, saved.meta["palette"]))
    return model


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Loads a checkpoint, or the best one of a run's folder. Raises InputError, also where what it
    tells of itself is not of the form that a run writes."""
    path = Path(path).expanduser()
    for folder in (path, path / "checkpoints"):
        if (folder / BEST).is_file():
            path = folder / BEST
    saved = checkpoint.load(path)
    for key, form in META.items():
        if key not in saved.meta or not fits(saved.meta[key], form):
            raise InputError(f"{path}: its {key} is missing or not {describe(form)}", do="give another")
    nodes = saved.meta["config"]
    if not all(isinstance(nodes.get(group), dict) for group in ("model", "data")):
        raise InputError(f"{path}: its config names no model or no data", do="give another")
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
    return saved


def restore_model(node: dict[str, Any], saved: Checkpoint) -> nn.Module:
    """The model of a config with a checkpoint's weights, in eval mode. Raises InputError."""
    model = instantiate(node, "model")
    result = checkpoint.initialise(model, saved.weights())
    if result.new or result.unused:
        name = (result.new or result.unused)[0]
        raise InputError(
            f"the checkpoint does not fit this model: {len(result.new)} tensors missing and"
            f" {len(result.unused)} left over, the first is {name}",
            do="leave out model= and model.… keys that change the architecture",
        )
    return model.eval()


def build_crf(config: dict[str, Any]) -> partial | None:
    """The dense CRF with its parameters, where `crf` is on.

    Raises:
        InputError: a parameter that does not fit, or a backend that is not installed.
    """
    if not config["crf"]:
        return None
    node, classes = config["dense_crf"], config["data"]["num_classes"]
    if config["device"] == "cpu" and node.get("backend", "auto") == "auto":
        node = node | {"backend": "numba"}  # by itself it would take a GPU that is there
    crf = instantiate(node, "dense_crf", partial=True)
    equal = np.full((classes, 2, 2), 1 / classes, np.float32)
    crf(np.zeros((2, 2, 3), np.uint8), equal)  # its faults come now
    return crf


def saved_config(config: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint carries of the config: enough to evaluate, nothing of this machine's run."""
    return {group: config[group] for group in SAVED_GROUPS}


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
