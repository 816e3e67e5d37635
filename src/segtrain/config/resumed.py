"""`resume=PATH`: the checkpoint's config with the user's keys on top."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from segtrain.config.compose import CONFIG_DIR, check_trust, has_option
from segtrain.config.num_classes import fill_num_classes

OF_THE_COMMAND = ("resume", "replay", "trust")  # never a checkpoint's
_OPTION = re.compile(r"[\w.-]+")


def resume_path(arguments: Sequence[str]) -> str | None:
    """The path of `resume=PATH` on a command line; None for null, auto, or several to sweep over."""
    for argument in reversed(arguments):
        if argument.partition("=")[0].lstrip("+") == "resume":
            try:
                override = OverridesParser.create().parse_override(argument)
                value = None if override.is_sweep_override() else override.value()
            except HydraException:  # said when the whole command line is read
                return None
            return None if value is None or value == "auto" else str(value)
    return None


def all_choices(choices: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The option of every group, as Hydra names them; of a list of options, the names of its nodes."""
    named = {group: option for group, option in choices.items() if option and "hydra" not in group}
    lists = {g: list(config[g]) for g in ("loss", "metric", "logger") if config.get(g) and g not in named}
    return named | lists


def saved_options(
    config: Mapping[str, Any], choices: Mapping[str, Any], arguments: Sequence[str]
) -> list[str]:
    """The options of a checkpoint's groups as overrides, but for groups that the user chooses.

    Options that are not ours, of a `--config-dir` or a file `data=mine.yaml`, get the checkpoint's keys.

    Args:
        config: of the checkpoint, whole.
        choices: group -> option, or a list of options: `{"model": "unet", "loss": ["dice"]}`.
        arguments: the user's.

    Returns:
        What stands beside the user's arguments, so that Hydra knows the keys that they set.
    """
    given = {a.partition("=")[0].lstrip("+~") for a in arguments}
    if "experiment" in given and f"experiment={choices.get('experiment')}" not in arguments:
        return []
    options = []
    for group, option in choices.items():
        chosen = group in given or group.split("/")[0] in given
        if chosen or group == "experiment" or not _is_group(group):
            continue
        if isinstance(option, str) and _OPTION.fullmatch(option):
            node = OmegaConf.select(OmegaConf.create(dict(config)), group.replace("/", "."))
            if not has_option(group, option) and isinstance(node, DictConfig):
                ConfigStore.instance().store(group=group, name=option, node=node)
            options.append(f"{group}={option}")
        elif isinstance(option, list) and all(_OPTION.fullmatch(str(o)) for o in option):
            options.append(f"{group}=[{','.join(map(str, option))}]")
    return options


def with_saved(
    composed: DictConfig, overrides: Sequence[str], saved: dict[str, Any], choices: Mapping[str, Any]
) -> dict[str, Any]:
    """A checkpoint's config with what the user's overrides say on top.

    Args:
        composed: what Hydra made of the overrides.
        overrides: the user's, which may repeat options of the checkpoint's: those change nothing.
        saved: the whole config of the checkpoint.
        choices: the options of its groups.

    Returns:
        The config, resolved.

    Raises:
        InputError: the checkpoint names other code than segtrain's own.
    """
    check_trust(saved, "config", composed.trust)
    result = copy.deepcopy(saved)
    if composed.data.get("num_classes", 0) is None:  # of what the user adds, such as metric=[boundary]
        composed.data.num_classes = saved["data"].get("num_classes")
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    another = any(o.key_or_group == "experiment" and not _repeats(o, choices) for o in parsed)
    for key in composed:
        if key != "experiment" and (another or key in OF_THE_COMMAND or key not in result):
            result[str(key)] = _selected(composed, str(key))
    for override in () if another else parsed:
        path = override.key_or_group.replace("/", ".")
        if _is_group(override.key_or_group) and _repeats(override, choices):
            continue
        if path in OF_THE_COMMAND or path == "experiment":
            continue
        _set(result, path.split("."), None if override.is_delete() else _selected(composed, path))
        if override.is_delete():
            _remove(result, path.split("."))
    if result["data"].get("num_classes", 0) is None:
        data = OmegaConf.create({"data": result["data"]})
        fill_num_classes(data)
        result["data"]["num_classes"] = data.data.num_classes
    return result


def _is_group(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z_/]+", name)) and (CONFIG_DIR / name).is_dir()


def _repeats(override: Override, choices: Mapping[str, Any]) -> bool:
    """Whether an override chooses the option of ours that was chosen before."""
    if override.is_delete():
        return False
    group, options = override.key_or_group, _as_list(override.value())
    return options == _as_list(choices.get(group)) and all(has_option(group, option) for option in options)


def _as_list(option: Any) -> list[str]:
    return [str(o) for o in option] if isinstance(option, list | tuple) else [str(option)]


def _selected(config: DictConfig, path: str) -> Any:
    value = OmegaConf.select(config, path)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _set(node: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    node[path[-1]] = value


def _remove(node: Any, path: list[str]) -> None:
    for name in path[:-1]:
        node = node.get(name, {})
    node.pop(path[-1], None)
