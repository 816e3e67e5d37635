"""The switches at the root of the configs: their types and ranges, in one table."""

from typing import Any, Literal

from segtrain.cli.construct import describe, fits
from segtrain.errors import InputError

TYPES: dict[str, Any] = {
    "crf": bool,
    "compile": bool,
    "deterministic": bool,
    "freeze_norm": bool,
    "seed": int,
    "max_steps": int,
    "batch_size": int,
    "accumulate": int,
    "val_every": int,
    "checkpoint_every": int,
    "log_every": int,
    "num_workers": int,
    "width": float,
    "clip_norm": float,
    "ema": float,
    "device": str,
    "precision": Literal["auto", 32, "bf16", 16],
    "resume": str | None,
    "init_from": str | None,
    "input": str | None,
    "output": str | None,
    "overlay": float,
    "legend": bool,
    "probabilities": bool,
    "ckpt": str | list[str] | None,
    "ensemble": Literal["mean", "product"],
    "compare": bool,
    "metrics": list[str],
    "format": str | None,
    "weights": str | None,
    "out": str | None,
    "allow": list[str],
    "mean": list[float] | None,
    "size": list[int],
    "trust": str | None,
}
AT_LEAST = dict.fromkeys(
    ("max_steps", "batch_size", "accumulate", "val_every", "checkpoint_every", "log_every"), 1
) | dict.fromkeys(("seed", "num_workers", "clip_norm", "ema"), 0)


def check_scalars(config: dict[str, Any]) -> None:
    """Raises InputError for a root key whose value is not of its type or out of its range."""
    for key in TYPES.keys() & config.keys():
        value = config[key]
        if not fits(value, TYPES[key]):
            raise InputError(f"{key}={value}", do=f"give {describe(TYPES[key])}")
        if key in AT_LEAST and value < AT_LEAST[key]:
            raise InputError(f"{key}={value}", do=f"give at least {AT_LEAST[key]}")
    if not config.get("width", 1) > 0:
        raise InputError(f"width={config['width']}", do="give a factor above 0, such as 0.25")
    if config.get("ema", 0) >= 1:
        raise InputError(f"ema={config['ema']}", do="give a decay below 1, such as 0.999")
