"""Configs: where they are, how a checkpoint's is read, and what it may name."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from segtrain.config.num_classes import fill_num_classes
from segtrain.config.task import with_task
from segtrain.config.trust import advice, check_class, check_package
from segtrain.errors import InputError, shorten

_PACKAGE = Path(__file__).resolve().parent.parent
# The wheel carries the configs inside the package; a checkout has them beside src/.
CONFIG_DIR = next(d for d in (_PACKAGE / "configs", _PACKAGE.parent.parent / "configs") if d.is_dir())
WHOLE = {"_target_": "segtrain.inference.Whole"}
SAVED_GROUPS = ("model", "data", "inference", "dense_crf")  # what an evaluation takes from a checkpoint


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra over our configs, also inside of another Hydra job, which is left as it was."""
    instance = GlobalHydra.instance()
    before, instance.hydra = instance.hydra, None
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            yield
    finally:
        instance.hydra = before


def has_option(group: str, option: str) -> bool:
    """Whether a group of ours, `model` or `model/backbone`, has an option; any text may be asked for."""
    return os.path.isfile(CONFIG_DIR / group / f"{option}.yaml")


def compose_config(name: str, overrides: list[str]) -> DictConfig:
    """The root config `name` with command-line overrides, outside of a Hydra job."""
    with _hydra():
        return compose(name, overrides=overrides)


def compose_with_choices(name: str, overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """As `compose_config`, and the option that each group was chosen by, `{"model": "fcn8s"}`."""
    with _hydra():
        config = compose(name, overrides=overrides, return_hydra_config=True)
    choices = {group: str(option) for group, option in config.hydra.runtime.choices.items() if option}
    with open_dict(config):
        del config["hydra"]
    return config, {group: option for group, option in choices.items() if "hydra" not in group}


def plain(config: DictConfig | ListConfig, *, resolve: bool = True) -> dict[str, Any]:
    """A config as plain dicts and lists, its interpolations resolved."""
    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@cache
def shipped_targets(group: str = "") -> frozenset[str]:
    """Every `_target_` that segtrain's own configs of a group name; without a group, all of them."""
    texts = (path.read_text(encoding="utf-8") for path in (CONFIG_DIR / group).rglob("*.yaml"))
    return frozenset(t for text in texts for t in re.findall(r"_target_:\s*([\w.]+)", text))


def options_with(group: str, classes: Iterable[str]) -> list[str]:
    """The options of a group that build one of these classes, by their YAML or the one that it builds on.

    Example:
        >>> options_with("model", ["PSPNet"])
        ['pspnet101', 'pspnet50']
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (CONFIG_DIR / group).glob("*.yaml")}

    def target(option: str) -> str:
        found = re.search(r"^_target_:\s*([\w.]+)", texts.get(option, ""), re.MULTILINE)
        base = re.search(r"^ *- (\w+)$", texts.get(option, ""), re.MULTILINE)
        return found[1] if found else target(base[1]) if base and base[1] != "_self_" else ""

    return sorted(option for option in texts if target(option).rpartition(".")[2] in set(classes))


def check_trust(node: Any, key: str, trust: str | None) -> None:
    """Refuses a checkpoint's config that could run anything but segtrain's own classes.

    Args:
        node: the config, or a part of it.
        key: where it stands, from `config` on: `config.model`.
        trust: a package outside segtrain that the user opened on the command line.

    Raises:
        InputError: a target that no shipped config of its group names, another key with a leading
            underscore, or an interpolation; `trust` is no package of a user's, or a target in it no
            class that satisfies a contract.
    """
    check_package(trust)
    _check_targets(node, key, trust)


def _check_targets(node: Any, key: str, trust: str | None) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            here = f"{key}.{shorten(name)}"
            if name == "_target_":
                _check_target(value, key, trust)
            elif str(name).startswith("_"):
                raise InputError(f"the checkpoint's {here}: such keys are not allowed", do="do not use it")
            else:
                _check_targets(value, here, trust)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            _check_targets(value, f"{key}[{i}]", trust)
    elif isinstance(node, str) and ("${" in node or node == "???"):
        what = f"the checkpoint's {key}={shorten(node)}: no interpolation is resolved"
        raise InputError(what, do="do not use it")


def _check_target(value: Any, key: str, trust: str | None) -> None:
    group = key.split(".")[1] if "." in key else ""
    if isinstance(value, str) and value in shipped_targets(group if (CONFIG_DIR / group).is_dir() else ""):
        return
    if trust and str(value).startswith(f"{trust}."):
        check_class(str(value), key, trust)
        return
    what = f"the checkpoint's {key}._target_={shorten(value)} is not one of segtrain's own"
    raise InputError(what, do=advice(str(value)))


def offline(node: Any) -> Any:
    """A config without downloads and pretrained weights: a checkpoint brings its own weights."""
    if isinstance(node, dict):
        return {k: False if k in ("download", "pretrained") else offline(v) for k, v in node.items()}
    return node


def predictions_config(given: DictConfig) -> dict[str, Any]:
    """The config of an evaluation without a checkpoint, resolved.

    Raises:
        InputError: no data set was chosen.
    """
    if not (given.get("data") or {}).get("_target_"):
        raise InputError("data= is missing", do="add data=OPTION data.root=DIR, which the predictions are of")
    whole = OmegaConf.merge(OmegaConf.create({"inference": WHOLE}), given)
    assert isinstance(whole, DictConfig)
    fill_num_classes(whole)
    return plain(whole) | {"task": "softmax", "threshold": 0.5}


def evaluation_config(given: DictConfig, saved: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's config with what the user set on the command line of segeval on top.

    A group that was chosen anew (it has a `_target_`) replaces the saved one; single keys are
    merged into it.
    """
    check_trust(saved, "config", given.trust)
    base = {"inference": WHOLE}  # of checkpoints from before there were others
    base |= {group: offline(saved[group]) for group in SAVED_GROUPS if saved.get(group)}
    for group in SAVED_GROUPS:
        if given.get(group) and given[group].get("_target_"):
            base.pop(group, None)
    whole = OmegaConf.merge(OmegaConf.create(base), given)
    assert isinstance(whole, DictConfig)
    fill_num_classes(whole)
    merged = plain(whole)
    old, new = saved["data"].get("num_classes"), merged["data"].get("num_classes")
    if old != new:
        raise InputError(
            f"the checkpoint predicts {old} classes, this data set has {new}",
            do="evaluate it on data with the same classes",
        )
    merged["task"] = saved.get("task", "softmax")  # of checkpoints from before there were others
    if merged.get("threshold") == "auto":
        raise InputError("threshold=auto: it is chosen in training", do="give a number, or null")
    if merged.get("threshold") is None:
        chosen = saved.get("threshold", 0.5)
        merged["threshold"] = 0.5 if chosen == "auto" else chosen  # of a run that was never validated
    return with_task(merged)
