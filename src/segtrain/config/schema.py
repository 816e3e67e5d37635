"""The scalars at the root of the configs: their types and ranges, in one table."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import yaml

from segtrain.config.compose import CONFIG_DIR
from segtrain.config.instantiate import describe_type, fits
from segtrain.config.near_key import near_key
from segtrain.errors import InputError

TYPES: dict[str, Any] = {
    "task": Literal["softmax", "binary", "multilabel"],
    "threshold": float | Literal["auto"] | None,
    "crf": bool,
    "tune_crf": int,
    "steps": bool,
    "compile": bool,
    "deterministic": bool,
    "freeze": list[str],
    "freeze_norm": bool,
    "seed": int,
    "max_steps": int | None,
    "max_epochs": float | None,
    "batch_size": int | Literal["auto"],
    "accumulate": int,
    "val_every": int | None,
    "checkpoint_every": int,
    "log_every": int,
    "num_workers": int | Literal["auto"],
    "early_stop": int | None,
    "keep_last": int,
    "plots": bool | Literal["svg", "pdf"] | list[Literal["svg", "pdf"]],
    "lr_find": bool,
    "debug": Literal["overfit", "limit"] | None,
    "in_channels": int | None,
    "width": float,
    "clip_norm": float,
    "ema": float,
    "device": str,
    "precision": Literal["auto", 32, "bf16", 16],
    "resume": str | None,
    "init_from": str | None,
    "replay": str | None,
    "input": str | None,
    "output": str | None,
    "overlay": float,
    "legend": bool,
    "palette": Literal["okabe_ito"] | None,
    "frame_labels": bool,
    "probabilities": bool,
    "polygons": Literal["gpkg", "geojson"] | None,
    "large_above": int | None,
    "tile": int,
    "overlap": int,
    "all": bool,
    "image": str | None,
    "recipe": str | None,
    "ckpt": str | list[str] | dict[str, str | list[str]] | None,
    "ensemble": Literal["mean", "product"],
    "compare": bool,
    "predictions": str | list[str] | dict[str, str | list[str]] | None,
    "split": Literal["train", "val", "test"],
    "report": bool,
    "runs": str | list[str] | None,
    "title": str | None,
    "submission": bool,
    "crf_ranges": dict,
    "format": str | None,
    "weights": str | None,
    "sha256": str | None,
    "out": str | None,
    "allow": list[str],
    "mean": list[float] | None,
    "std": list[float] | None,
    "bgr": bool | None,
    "size": list[int],
    "dynamic": bool,
    "quantize": Literal["int8"] | None,
    "calibration": int,
    "evaluate": bool,
    "push": str | None,
    "license": str | None,
    "images": bool,
    "trust": str | None,
    "host": str,
    "port": int,
    "open": bool,
    "examples": str | None,
    "max_megabytes": int,
    "max_megapixels": float,
    "whole_megapixels": float,
    "concurrency": int,
    "queue": int,
    "timeout": float,
}
AT_LEAST = dict.fromkeys(
    "max_steps batch_size accumulate val_every checkpoint_every log_every in_channels tile calibration"
    " concurrency max_megabytes".split(),
    1,
) | dict.fromkeys(
    "seed num_workers clip_norm ema tune_crf early_stop keep_last overlap port queue"
    " whole_megapixels".split(),
    0,
)
AT_MOST = {"seed": 2**63 - 1, "port": 65535}  # what torch takes; what there is
ABOVE_ZERO = {"width": 0.25, "timeout": 60, "max_megapixels": 12}  # and what is usual

# Keys at the root that hold more keys: groups, and what only some commands have.
GROUPS = frozenset(
    "model data crops augment loss optimizer schedule metric logger inference dense_crf experiment".split()
)


def check_scalars(config: dict[str, Any]) -> None:
    """Checks the keys at the root of a config.

    Args:
        config: composed, as plain dicts and lists.

    Raises:
        InputError: a value is not of its type or out of its range, or nobody knows a key that was
            added (`+batchsize=4`).
    """
    _refuse_unknown(config, TYPES.keys() | GROUPS)
    for key in TYPES.keys() & config.keys():
        value = config[key]
        if not fits(value, TYPES[key]):
            shown = "null" if value is None else value
            raise InputError(f"{key}={shown}", do=f"give {describe_type(TYPES[key])}")
        if key in AT_LEAST and value not in (None, "auto") and not value >= AT_LEAST[key]:  # neither is nan
            raise InputError(f"{key}={value}", do=f"give at least {AT_LEAST[key]}")
        if key in AT_MOST and value > AT_MOST[key]:
            raise InputError(f"{key}={value}", do=f"give at most {AT_MOST[key]}")
    if config.get("batch_size") == "auto" and "max_steps" not in config:
        raise InputError("batch_size=auto: the size of a training alone is searched", do="give a number")
    for key, usual in ABOVE_ZERO.items():
        if not config.get(key, usual) > 0:
            raise InputError(f"{key}={config[key]}", do=f"give a number above 0, such as {usual}")
    if (epochs := config.get("max_epochs")) is not None and not 0 < epochs < 1e6:
        raise InputError(f"max_epochs={epochs}", do="give a number above 0, such as 50")
    if config.get("ema", 0) >= 1:
        raise InputError(f"ema={config['ema']}", do="give a decay below 1, such as 0.999")


def check_keys_of(root: str, config: Mapping[Any, Any]) -> None:
    """Raises InputError for a key that was added (`+batchsize=4`) and is none of a root config's.

    Args:
        root: its name, `data`.
        config: composed.
    """
    known = yaml.safe_load((CONFIG_DIR / f"{root}.yaml").read_text(encoding="utf-8"))
    _refuse_unknown(config, known.keys() | GROUPS)


def _refuse_unknown(config: Mapping[Any, Any], known: Collection[str]) -> None:
    for key in sorted(set(map(str, config)) - set(known)):
        near = near_key(key, str(config[key]), config, set(known) & set(config))
        raise InputError(f"{key}: no such key", do=f"did you mean {near}?" if near else "see --help")
