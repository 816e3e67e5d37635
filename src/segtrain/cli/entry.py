"""The commands, one line each, and what each does with its composed config."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from segtrain.cli.explain import complete_explain, explain_command, explain_lesson, lesson_argument
from segtrain.cli.runner import Command, run_command
from segtrain.commands.folder import is_locked
from segtrain.config.compose import evaluation_config, plain, predictions_config
from segtrain.config.data_file import data_argument
from segtrain.config.length import settle_length
from segtrain.config.num_classes import fill_num_classes
from segtrain.config.overrides import complete_overrides
from segtrain.config.recipes import recipes_for
from segtrain.config.resumed import all_choices, resume_path
from segtrain.config.schema import check_keys_of, check_scalars
from segtrain.distributed import launch
from segtrain.errors import InputError, MaskError, MissingData
from segtrain.input_spec import RGB_CHANNELS
from segtrain.papers.contract import departures_line


def _train(config: DictConfig, folder: Path) -> dict[str, Any] | None:
    settings = HydraConfig.get()
    if config.resume in (None, "auto"):  # torch is not needed yet
        fill_num_classes(config)
        values = plain(config)
    else:
        from segtrain.commands.resume import training_config

        values = training_config(config, settings.overrides.task)
    check_scalars(values)
    if values.get("experiment"):  # a recipe leaves nothing there
        key = next(iter(values["experiment"]))
        raise InputError(f"experiment.{key}: no such key", do="set the key itself, as in max_steps=100")
    settle_length(values, settings.overrides.task)
    values.pop("experiment", None)
    if values.pop("replay"):
        from segtrain.commands.replay import replay

        replay(config.replay, config.device, str(config.precision), config.trust)
        return None
    from segtrain.commands.train import run_training  # torch is imported when there is something to train

    choices = all_choices(settings.runtime.choices, values)
    say_recipe(choices)
    say_departures(values, choices)
    try:
        result = run_training(values, choices, folder, lambda: _others(folder))
        if result:
            explain_lesson(choices, folder)
        return result.as_json() if result else None
    except MissingData as error:
        if names := recipes_for(choices):
            raise MissingData(str(error), do=f"then, by the paper's recipe: {_as_options(names)}") from None
        raise
    except MaskError as error:
        of_data = [o for o in settings.overrides.task if o.startswith("data.")]
        looking = " ".join([f"segdata data={data_argument(choices['data'])}", *of_data, "action=check"])
        raise MaskError(str(error), do=f"see what is wrong with all masks by {looking}") from error


def say_recipe(choices: Mapping[str, Any]) -> None:
    """Shows the paper's recipe for the model and the data that were chosen without it."""
    names = recipes_for(choices)
    if names and launch.rank() == 0:
        of = f"{choices['model']} on {choices['data']}"
        print(f"the paper's recipe for {of}: {_as_options(names)}; this run is your own", flush=True)


def _as_options(names: Sequence[str]) -> str:
    return " or ".join(f"experiment={name}" for name in names)


def say_departures(values: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Shows in one line what a recipe does otherwise than its paper."""
    line = departures_line(values, choices.get("experiment") or "")
    if line and launch.rank() == 0:
        print(line, flush=True)


def _others(folder: Path) -> list[Path]:
    """The checkpoints' folders of runs beside this one; none where the user chose its folder."""
    settings = HydraConfig.get()
    if any(o.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for o in settings.overrides.hydra):
        return []
    if settings.mode == RunMode.MULTIRUN:
        found = folder.parent.parent.glob("*/*/checkpoints")
    else:
        found = folder.parent.glob("*/checkpoints")
    return [path for path in found if not is_locked(path.parent)]


def _complete_training(arguments: list[str]) -> list[str]:
    arguments = [lesson_argument(one) for one in arguments]
    if resume_path(arguments) is None:
        return arguments
    from segtrain.commands.resume import complete_arguments

    return complete_arguments(arguments)


def _evaluate(config: DictConfig, folder: Path) -> dict[str, Any]:
    if config.predictions and not config.ckpt:
        return _evaluate_predictions(config, folder)
    configs, saved = read_checkpoints_of(config)
    if config.predictions and not config.compare:
        raise InputError("ckpt= and predictions= at once", do="add compare=true, or leave one out")
    if config.tune_crf:
        from segtrain.commands.tune_crf import tune_checkpoints

        return as_json(*tune_checkpoints(configs, saved, folder))
    if config.compare:
        from segtrain.commands.compare import compare_checkpoints

        return as_json(*compare_checkpoints(configs, saved, folder))
    from segtrain.commands.evaluate import evaluate_checkpoints

    return as_json(*evaluate_checkpoints(configs, saved, folder))


def _evaluate_predictions(config: DictConfig, folder: Path) -> dict[str, Any]:
    check_scalars(plain(config, resolve=False))
    values = predictions_config(config)
    if config.compare:
        from segtrain.commands.compare import compare_checkpoints

        return as_json(*compare_checkpoints([values], [], folder))
    from segtrain.commands.stored_predictions import evaluate_configs

    return as_json(*evaluate_configs([values], [], folder))


def as_json(result: Any, beside: dict[str, Any]) -> dict[str, Any]:
    """What `metrics.json` holds."""
    return result.as_json() | beside


def _predict(config: DictConfig, folder: Path) -> None:
    if config.input is None:
        raise InputError("input= is missing", do="add input=PATH, an image, a folder or a video")
    configs, saved = read_checkpoints_of(config)
    from segtrain.commands.predict import run_prediction

    run_prediction(configs, saved, folder)


def _look_at_data(config: DictConfig, folder: Path) -> None:
    check_keys_of("data", config)
    from segtrain.commands.data import look_at_data

    look_at_data(plain(config), HydraConfig.get().runtime.choices["data"], folder)


def _import_weights(config: DictConfig, folder: Path) -> None:
    fill_num_classes(config)
    asked, config.in_channels = config.in_channels, RGB_CHANNELS  # a model's node is for RGB
    values = plain(config) | {"in_channels": asked}
    check_scalars(values)
    from segtrain.commands.import_weights import import_weights

    overrides = HydraConfig.get().overrides.task
    import_weights(values, {override.partition("=")[0].lstrip("+") for override in overrides}, folder)


def _export(config: DictConfig, folder: Path) -> None:
    configs, saved = read_checkpoints_of(config)
    if len(saved) > 1:
        raise InputError(f"ckpt={list(config.ckpt)}: an ensemble cannot be exported", do="give one of them")
    from segtrain.commands.export import export_checkpoint

    export_checkpoint(configs[0], saved[0], folder)


def _demo(config: DictConfig, folder: Path) -> None:
    configs, saved = read_checkpoints_of(config)
    from segtrain.commands.demo import run_demo

    run_demo(configs, saved, folder)


def _report(config: DictConfig, folder: Path) -> None:
    values = plain(config)
    check_scalars(values)
    if not values["runs"]:
        raise InputError("runs= is missing", do="add runs=PATH, the folder of a sweep or of runs: [A,B]")
    from segtrain.commands.report import write_report

    paths = [values["runs"]] if isinstance(values["runs"], str) else values["runs"]
    write_report(paths, folder, seed=values["seed"], title=values["title"])


def _serve(config: DictConfig, folder: Path) -> None:
    configs, saved = read_checkpoints_of(config)
    from segtrain.commands.serve import run_server

    run_server(configs, saved)


COMMANDS = {
    "train": Command("train", _train, recorded=True, complete=_complete_training),
    "eval": Command("eval", _evaluate, recorded=True, complete=partial(complete_overrides, "eval")),
    "predict": Command("predict", _predict, complete=partial(complete_overrides, "predict")),
    "data": Command("data", _look_at_data),
    "explain": Command("explain", explain_command, complete=complete_explain),
    "import": Command("import", _import_weights),
    "report": Command("report", _report),
    "export": Command("export", _export, complete=partial(complete_overrides, "export")),
    "serve": Command("serve", _serve, complete=partial(complete_overrides, "serve")),
    "demo": Command("demo", _demo, complete=partial(complete_overrides, "demo")),
}


def _run(name: str, arguments: list[str]) -> None:
    """Runs a command by its name in COMMANDS: `_run("eval", ["ckpt=PATH"])`."""
    try:
        run_command(COMMANDS[name], arguments)
    except BrokenPipeError:  # `segtrain --help | head`: whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def segtrain() -> None:
    """`segtrain`: trains."""
    _run("train", sys.argv[1:])


def segeval() -> None:
    """`segeval`: evaluates a checkpoint, or several as an ensemble."""
    _run("eval", sys.argv[1:])


def segpredict() -> None:
    """`segpredict`: predictions and overlays for images, folders and videos."""
    _run("predict", sys.argv[1:])


def segdata() -> None:
    """`segdata`: checks a data set, counts it, or shows it."""
    _run("data", sys.argv[1:])


def segimport() -> None:
    """`segimport`: a checkpoint from published weights."""
    _run("import", sys.argv[1:])


def segexport() -> None:
    """`segexport`: a checkpoint as ONNX, as a program of torch.export, or as plain tensors."""
    _run("export", sys.argv[1:])


def segdemo() -> None:
    """`segdemo`: a page on this machine that labels images."""
    _run("demo", sys.argv[1:])


def segreport() -> None:
    """`segreport`: a page that compares runs."""
    _run("report", sys.argv[1:])


def segexplain() -> None:
    """`segexplain`: a network, its paper, and what it does with an image, as a page."""
    _run("explain", sys.argv[1:])


def segserve() -> None:
    """`segserve`: a server that answers images with their predictions."""
    _run("serve", sys.argv[1:])


def main() -> None:
    """`python -m segtrain [COMMAND] ...`: COMMAND is one of COMMANDS, train without one."""
    first, *rest = sys.argv[1:] or [""]
    if first in COMMANDS:
        _run(first, rest)
    else:
        _run("train", sys.argv[1:])


def read_checkpoints_of(config: DictConfig) -> tuple[list[dict[str, Any]], list[Any]]:
    """Each checkpoint of `ckpt` and its config with the user's keys on top. Raises InputError."""
    values = plain(config, resolve=False)
    check_scalars(values)
    if not values["ckpt"]:
        raise InputError("ckpt= is missing", do=f"add ckpt={newest_checkpoint()}")
    from segtrain.commands.build import read_checkpoints
    from segtrain.commands.paths import checkpoint_paths

    if isinstance(values["ckpt"], dict) and not values.get("compare"):
        raise InputError("ckpt={...}: groups are there to be compared", do="add compare=true, or give a list")
    saved = read_checkpoints(checkpoint_paths(values["ckpt"]))
    return [evaluation_config(config, checkpoint.meta["config"]) for checkpoint in saved], saved


def newest_checkpoint() -> str:
    """The newest best.ckpt below outputs/, to propose, or words for one."""
    found = sorted(Path("outputs").glob("*/*/checkpoints/best.ckpt"), key=lambda p: p.stat().st_mtime)
    return str(found[-1]) if found else "PATH, the best.ckpt of a run"
