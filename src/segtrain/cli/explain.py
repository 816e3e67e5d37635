"""`segexplain`: what it is asked for, composed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from segtrain.commands.paths import relative
from segtrain.config.compose import (
    CONFIG_DIR,
    compose_config,
    compose_with_choices,
    evaluation_config,
    options_with,
    plain,
)
from segtrain.config.num_classes import fill_num_classes
from segtrain.config.overrides import complete_overrides
from segtrain.config.recipes import recipe_command, recipes_of
from segtrain.config.schema import check_scalars
from segtrain.config.wording import option_names
from segtrain.distributed import launch
from segtrain.errors import InputError
from segtrain.files import user_path
from segtrain.papers.paper import recipe_of

EXPERIMENT = "experiment="
LESSON = "lesson_"  # before the names of experiments that end with a page
CLASSES = "voc"  # whose 21 classes the published counts are for
PAGE = "explain.html"
# Keys that no training has, and groups and keys that this command has too.
OWN = {"all", "ckpt", "image", "size", "output", "recipe", "crf", "device", "trust"}
GROUPED = {"model", "data", "inference", "dense_crf", "width", "in_channels"}


def complete_explain(arguments: list[str]) -> list[str]:
    """Adds what a network without a checkpoint needs, and reads `model=all` and `experiment=`."""
    arguments = ["all=true" if one == "model=all" else one for one in arguments]
    keys = {_key(one) for one in arguments}
    if "ckpt" in keys:
        return complete_overrides("explain", arguments)
    if "experiment" in keys:
        return [_of_recipe(one) for one in arguments]
    return arguments + ([] if "data" in keys else [f"data={CLASSES}"])


def _of_recipe(argument: str) -> str:
    """An argument beside `experiment=`, which as a group would bring along what only a training has."""
    key = _key(argument)
    if argument.startswith(EXPERIMENT):
        return f"recipe={argument.removeprefix(EXPERIMENT)}"
    if key in OWN | GROUPED or key.startswith(("hydra", "-")):
        return argument
    return f"+{argument}" if (CONFIG_DIR / key).is_dir() else f"++{argument}"


def explain_command(config: DictConfig, folder: Path) -> None:
    """Writes the page of a network, or of all."""
    values = plain(config, resolve=False)
    check_scalars(values)
    if len(config.size) != 2 or min(config.size) < 1:
        raise InputError(f"size={list(config.size)}", do="give a height and a width, size=[321,321]")
    given = [one.lstrip("+") for one in HydraConfig.get().overrides.task if _key(one) not in OWN]
    if config.all:
        _explain_all(config, folder)
    elif config.ckpt:
        _explain_checkpoint(config, folder)
    else:
        _explain_model(config, given, folder)
    print(f"page: {relative(folder / PAGE)}", flush=True)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _explain_model(config: DictConfig, given: Sequence[str], folder: Path) -> None:
    from segtrain.commands.explain.network import explain_network

    if config.image:
        raise InputError("image= wants a trained network", do="add ckpt=PATH")
    name = HydraConfig.get().runtime.choices.get("model")
    if config.recipe is None and name is None:
        raise InputError("model= is missing", do="add model=NAME, model=all, experiment=NAME or ckpt=PATH")
    if config.recipe is None:
        fill_num_classes(config)
        explain_network(_asked(str(name), plain(config)["model"], config, _recipes(str(name))), folder)
        return
    if config.recipe not in option_names("experiment"):
        raise InputError(f"experiment={config.recipe}: no such recipe", do="see segtrain --help")
    training, choices = compose_with_choices("train", [f"{EXPERIMENT}{config.recipe}", *given])
    fill_num_classes(training)
    resolved = plain(training)
    recipes = {config.recipe: resolved}
    explain_network(_asked(choices["model"], resolved["model"], config, recipes), folder)


def _explain_checkpoint(config: DictConfig, folder: Path) -> None:
    from segtrain.commands.build import read_checkpoint
    from segtrain.commands.explain.trained import explain_checkpoint

    if not isinstance(config.ckpt, str):
        raise InputError("ckpt= must be one checkpoint", do="explain them one by one")
    saved = read_checkpoint(config.ckpt)
    values = evaluation_config(config, saved.meta["config"])
    name = _model_name(config.ckpt, saved.meta["config"]["model"])
    explain_checkpoint(values, saved, name, folder)


def _model_name(ckpt: str, model: dict[str, Any]) -> str:
    """The option of `model=` that a run was trained with; where that is not known, the one whose config is
    most like the checkpoint's."""
    from segtrain.commands.export_hub import choices

    names = options_with("model", [model["_target_"].rpartition(".")[2]])
    path = user_path(ckpt)
    chosen = choices(path.parent.parent if path.suffix == ".ckpt" else path)["model"]
    if chosen in names:
        return chosen

    def alike(name: str) -> int:
        own = plain(compose_config("train", [f"model={name}", f"data={CLASSES}"]))["model"]
        return len(_leaves(own) & _leaves(model))

    return max(names, key=alike, default="network")


def _leaves(node: Any, key: str = "") -> set[str]:
    """The values of a config, each with its key."""
    if not isinstance(node, dict):
        return {f"{key}={node}"}
    return {leaf for name, value in node.items() for leaf in _leaves(value, f"{key}.{name}")}


def lesson_argument(argument: str) -> str:
    """`lesson=fcn` as `experiment=lesson_fcn`, all other arguments as they are."""
    key, equals, name = argument.partition("=")
    if key != "lesson" or not equals:
        return argument
    lessons = [one.removeprefix(LESSON) for one in option_names("experiment") if one.startswith(LESSON)]
    if name not in lessons:
        raise InputError(f"lesson={name}: no such lesson", do=f"there are {', '.join(lessons)}")
    return f"experiment={LESSON}{name}"


def explain_lesson(choices: Mapping[str, Any], folder: Path) -> None:
    """Ends a lesson with the page of its network, in its run's folder."""
    if not (choices.get("experiment") or "").startswith(LESSON) or launch.rank() > 0:
        return
    _explain_checkpoint(compose_config("explain", [f"ckpt='{folder}'"]), folder)
    print(f"the lesson's page: {folder / PAGE}", flush=True)


def _explain_all(config: DictConfig, folder: Path) -> None:
    from segtrain.commands.explain.index import explain_all

    asked = []
    for name in option_names("model"):
        one = compose_config("train", [f"model={name}", f"data={CLASSES}", f"width={config.width}"])
        asked.append(_asked(name, plain(one)["model"], config, _recipes(name)))
    explain_all(asked, folder)


def _asked(name: str, model: dict[str, Any], config: DictConfig, recipes: dict[str, Any]) -> Any:
    from segtrain.commands.explain.network import Asked
    from segtrain.input_spec import RGB8

    height, width = config.size
    return Asked(name, model, RGB8, (height, width), recipes)


def _recipes(model: str) -> dict[str, Any]:
    """The resolved configs of a model's recipes, as the commands in their headers train them."""
    names = [name for name in recipes_of(model) if recipe_of(name)]
    return {name: plain(compose_config("train", recipe_command(name))) for name in names}
