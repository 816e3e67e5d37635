"""The Python API. Keyword arguments are the command line's keys: `optimizer__lr` is `optimizer.lr`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

from segtrain.backbones.timm_networks import timm_names
from segtrain.commands.build import (
    build_crf,
    read_checkpoint,
    read_checkpoints,
    restore_model,
    saved_input,
    task_of,
)
from segtrain.commands.command_line import note_command
from segtrain.commands.folder import given_folder, locked, new_folder
from segtrain.commands.paths import checkpoint_paths, write_metrics
from segtrain.commands.prediction import image_reader
from segtrain.commands.resume import complete_arguments, training_config
from segtrain.commands.stored_predictions import evaluate_configs
from segtrain.commands.train import TrainResult, run_training
from segtrain.config.compose import (
    check_trust,
    compose_config,
    compose_with_choices,
    evaluation_config,
    offline,
    plain,
    predictions_config,
)
from segtrain.config.from_python import given_arguments
from segtrain.config.instantiate import instantiate
from segtrain.config.length import settle_length
from segtrain.config.overrides import TIMM, backbone_choice, complete_overrides
from segtrain.config.resumed import all_choices
from segtrain.config.schema import check_scalars
from segtrain.config.wording import CONFIG_ERRORS, explain, option_names
from segtrain.contracts import HasClasses, HasReader, HasTask
from segtrain.data.io.images import read_image
from segtrain.distributed.signals import Stopped
from segtrain.engine.device import Compute
from segtrain.errors import InputError
from segtrain.evaluation.prediction import Prediction, grey_palette, sample_of
from segtrain.evaluation.predictor import Predictor, evaluating
from segtrain.evaluation.result import EvaluationResult
from segtrain.files import as_argument
from segtrain.inference import Whole
from segtrain.input_spec import RGB8
from segtrain.tasks import Task

CheckpointLike = str | Path | TrainResult


def list_models() -> list[str]:
    """The names that `build_model` and `model=` take."""
    return option_names("model")


def list_backbones(pattern: str = "*") -> list[str]:
    """The names that `backbone=` takes; `model/backbone=` takes those without `timm/`.

    Args:
        pattern: that names must fit. `timm/convnext*` gives networks of timm, `timm/convnext*.*` those with
            published weights.

    Raises:
        InputError: timm is not installed.

    Example:
        >>> segtrain.list_backbones("timm/vit_*dinov3*")
    """
    if pattern.startswith(TIMM):
        return [TIMM + name for name in timm_names(pattern.removeprefix(TIMM))]
    return [name for name in option_names("model/backbone") if fnmatch(name, pattern)]


def build_model(
    name: str,
    /,
    *,
    num_classes: int,
    backbone: str | dict[str, Any] | None = None,
    in_channels: int = 3,
    width: float = 1.0,
    **overrides: Any,
) -> nn.Module:
    """Builds a model by the name of its YAML, with initial weights.

    Args:
        name: one of `list_models()`.
        num_classes: of the logits.
        backbone: one of `list_backbones()`, also `timm/NAME`, or a dict of the backbone's keys, `name` among
            them for one of timm: `{"name": "timm/NAME", "frozen": True}`.
        in_channels: of the images; a pretrained first convolution is fitted to them.
        width: multiplies every number of channels.
        overrides: keys of the model's YAML.

    Returns:
        A module that takes images N×C×H×W (uint8 or float, RGB in 0..255 for three channels) and gives a
        dict with `out`, logits N×K×h×w, and in training named auxiliaries.

    Raises:
        InputError: an unknown name or key, or a value of the wrong type.

    Example:
        >>> model = segtrain.build_model("fcn8s", num_classes=21, backbone="resnet50")
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"model={name!r}: no such model", do="see segtrain.list_models()")
    option, keys = backbone_choice(backbone)
    chosen = [f"model={name}"] + ([f"model/backbone={option}"] if option else [])
    numbers = [f"data.num_classes={num_classes}", f"in_channels={in_channels}", f"width={width}"]
    try:
        config = plain(compose_config("train", [*chosen, *numbers]))
    except CONFIG_ERRORS as error:
        raise explain(error, "train", chosen) from error
    check_scalars({key: config[key] for key in ("in_channels", "width")})
    node, classes = config["model"], config["data"]["num_classes"]
    if isinstance(classes, int) and classes < 1:
        raise InputError(f"num_classes={classes}", do="give at least 1")
    if keys:
        node["backbone"] |= keys
    return instantiate(node | overrides, "model")


def load_model(path: CheckpointLike, *, trust: str | None = None) -> nn.Module:
    """Loads the trained model of a checkpoint in eval mode, with `class_names`, `palette` and `task`.

    Args:
        path: a checkpoint, the folder of a run (its best.ckpt), or the result of `train`.
        trust: a package outside segtrain whose classes the checkpoint may name.

    Returns:
        The model, on the CPU.

    Raises:
        InputError: not a checkpoint, damaged, or one that names other code.

    Example:
        >>> model = segtrain.load_model("outputs/fcn8s_shapes/RUN")
    """
    saved = read_checkpoint(_path(path))
    config = saved.meta["config"]
    check_trust(config, "config", trust)
    model: Any = restore_model(offline(config["model"]), saved)
    model.class_names = tuple(saved.meta["class_names"])
    model.palette = tuple(map(tuple, saved.meta["palette"]))
    model.task = task_of(config)
    model.input_spec = saved_input(saved)
    model.read = image_reader(config["data"], model.input_spec)  # as the data set reads its images
    return model


def train(*, folder: str | Path | None = None, overrides: Sequence[str] = (), **keys: Any) -> TrainResult:
    """Trains a model, as `segtrain` does.

    Args:
        folder: of the run; by default a new one below `outputs/`.
        overrides: as on the command line: `["optimizer.lr=1e-3"]`.
        keys: keys of the command line: `model="fcn8s"`, `max_steps=200`, `data__root="data/CamVid"` for
            `data.root`; a dict merges into a group: `optimizer={"lr": 1e-3}`; `init_from` and `resume` take
            what `train` gave.

    Returns:
        The last validation and the folder; in a notebook it is shown as a table.

    Raises:
        InputError, DivergedError, SaveError: as the command says them.
        KeyboardInterrupt: the training was interrupted; it is saved, and the message says how to resume.

    Example:
        >>> result = segtrain.train(model="unet", data="shapes", max_steps=200)
        >>> result.evaluation.network.mean_iou
    """
    keys = {key: value.folder if isinstance(value, TrainResult) else value for key, value in keys.items()}
    given = complete_arguments(given_arguments("train", keys, overrides))
    try:
        config, options = compose_with_choices("train", given)
        values = training_config(config, given)
    except CONFIG_ERRORS as error:
        raise explain(error, "train", given) from error
    check_scalars(values)
    settle_length(values, given)
    note_command("train", given_arguments("train", keys, overrides))
    choices = all_choices(options, values)
    for key in ("experiment", "replay"):
        values.pop(key, None)
    name = f"{choices.get('model')}_{choices.get('data')}"
    run = _new_folder(Path("outputs") / name) if folder is None else given_folder(Path(folder)).path
    try:
        with locked(run):
            result = run_training(
                values, choices, run, lambda: () if folder else run.parent.glob("*/checkpoints")
            )
            if result is None:
                raise InputError("lr_find and debug=overfit train nothing to give", do="use the command line")
            write_metrics(result.as_json(), given, run)
    except Stopped as stop:
        raise KeyboardInterrupt(str(stop)) from None
    return result


def evaluate(
    checkpoint: CheckpointLike | Sequence[CheckpointLike] | None = None,
    *,
    predictions: str | Path | None = None,
    folder: str | Path | None = None,
    overrides: Sequence[str] = (),
    **keys: Any,
) -> EvaluationResult:
    """Evaluates a checkpoint, or another tool's predictions, as `segeval` does: on the validation split, or
    that of `split`.

    Args:
        checkpoint: a checkpoint, a run's folder, or the result of `train`; several, or the folder of a sweep,
            are an ensemble.
        predictions: instead of a checkpoint, a folder with an index PNG for each image of the split; `data=`
            says of which data set.
        folder: for the files of the evaluation; by default a new one below `outputs/eval/`.
        overrides: as for `train`.
        keys: as for `train`: `crf=True`, `metric=["boundary"]`, `inference="sliding"`, `split="test"`.

    Returns:
        The scores of the network and, with `crf=True`, after the CRF.

    Raises:
        InputError: as the command says it.

    Example:
        >>> segtrain.evaluate(result, crf=True).crf.mean_iou
        >>> segtrain.evaluate(predictions="out/labels", data="camvid", data__root="data/CamVid", split="test")
    """
    if (checkpoint is None) == (predictions is None):
        raise InputError("evaluate() takes one thing to evaluate", do="give a checkpoint, or predictions=DIR")
    each = [checkpoint] if isinstance(checkpoint, str | Path | TrainResult) else checkpoint or ()
    paths = checkpoint_paths([_path(one) for one in each])
    stored = {} if predictions is None else {"predictions": str(predictions)}
    given = complete_overrides("eval", given_arguments("eval", stored | keys, overrides))
    try:
        config = compose_config("eval", given)
        config.ckpt = paths or None
        check_scalars(plain(config, resolve=False))
        saved = read_checkpoints(paths)
        configs = [evaluation_config(config, one.meta["config"]) for one in saved]
        configs = configs or [predictions_config(config)]
    except CONFIG_ERRORS as error:
        raise explain(error, "eval", given) from error
    run = _new_folder(Path("outputs/eval")) if folder is None else given_folder(Path(folder)).path
    note_command("eval", [as_argument("ckpt", path) for path in paths] + given)
    with locked(run):
        result, beside = evaluate_configs(configs, saved, run)
        write_metrics(result.as_json() | beside, given, run)
    return result


def predict(
    model: nn.Module | CheckpointLike,
    image: np.ndarray | Image.Image | str | Path,
    *,
    crf: bool = False,
) -> Prediction:
    """Predicts the classes of an image.

    Args:
        model: from `load_model`, or a checkpoint.
        image: an array as the model was trained on, uint8 H×W×3 for RGB, a PIL image, or the path of a
            file.
        crf: refines the probabilities by the dense CRF with its default parameters.

    Returns:
        Labels and probabilities; in a notebook it is shown as an overlay.

    Raises:
        InputError: the image cannot be read or is not uint8 H×W×3, or its logits are not finite.
        DivergedError: the weights are not finite.

    Example:
        >>> segtrain.predict(model, "street.png").labels
    """
    network = model if isinstance(model, nn.Module) else load_model(model)
    spec, read = (network.input_spec, network.read) if isinstance(network, HasReader) else (RGB8, read_image)
    sample = sample_of(image, spec, read)
    device = next(network.parameters()).device
    task = cast(Task, network.task) if isinstance(network, HasTask) else Task()
    if crf and task.multilabel:
        raise InputError("crf=True: the model gives a pixel several classes, the CRF one", do="leave it out")
    with evaluating(network):
        predictor = Predictor(network, Whole(), Compute(torch.device(device), "32"), task)
        probabilities = predictor([sample])[0].cpu().numpy()
        predictor.check([sample])
    if crf:
        config = plain(compose_config("train", ["crf=true", f"data.num_classes={len(probabilities)}"]))
        refine = build_crf(config | {"device": device.type})
        assert refine is not None
        probabilities = refine(sample.rgb, probabilities)
    classes = len(probabilities)
    names, palette = tuple(map(str, range(classes))), grey_palette(classes)
    if isinstance(network, HasClasses):
        names, palette = network.class_names, network.palette
    return Prediction(sample.rgb, task.image_labels(probabilities), probabilities, names, palette)


def _path(checkpoint: CheckpointLike) -> str:
    return str(checkpoint.folder if isinstance(checkpoint, TrainResult) else checkpoint)


def _new_folder(parent: Path) -> Path:
    """Makes a folder by the time below `parent`; a number follows where it exists."""
    return new_folder(parent / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")).path
