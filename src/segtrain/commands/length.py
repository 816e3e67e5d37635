"""From `max_epochs`, or from the number of images, to `max_steps`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segtrain.config.recipes import EMBEDDED
from segtrain.distributed import process_group
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint_schema import is_count
from segtrain.errors import InputError

EMBEDDED_STEPS = 200  # of `data=shapes`: three minutes on two cores
EPOCHS = 50  # where nobody says how long
LEAST, MOST = 1000, 40_000  # steps of those
VALIDATIONS, FREQUENT = 20, 100  # of a run, and steps between two at least
UNSETTLED = (None, "auto")


def settled_steps(
    config: Mapping[str, Any], choices: Mapping[str, Any], images: int, say: Callable[[str], None]
) -> int:
    """How many steps a training takes.

    Args:
        config: `batch_size` is a number.
        choices: the options of the groups.
        images: of the training split.
        say: gets a line that says what was chosen where nothing was given.

    Returns:
        `max_steps` where it is given; else those of `max_epochs`, the last epoch whole; else of 50 epochs,
        at least 1,000 and at most 40,000. The embedded data set has 200.
    """
    if config["max_steps"] is not None:
        return config["max_steps"]
    of_a_step = config["batch_size"] * config["accumulate"] * process_group.world_size()
    if (epochs := config.get("max_epochs")) is not None:
        return max(1, math.ceil(epochs * images / of_a_step))
    if choices.get("data") == EMBEDDED:
        return EMBEDDED_STEPS
    steps = min(max(math.ceil(EPOCHS * images / of_a_step), LEAST), MOST)
    say(f"max_steps={steps}: chosen for {images} training images; give max_steps= or max_epochs= for another")
    return steps


def settled_interval(config: Mapping[str, Any]) -> int:
    """Steps between validations: `val_every`, or a twentieth of `max_steps`, at least 100, so that validating
    takes no longer than training.

    Example:
        >>> settled_interval({"val_every": None, "max_steps": 6000})
        300
    """
    given = config["val_every"]
    return given if given is not None else max(FREQUENT, math.ceil(config["max_steps"] / VALIDATIONS))


def take_settled(config: dict[str, Any], source: Path) -> None:
    """Takes what a run that goes on has settled before: `batch_size`, `val_every`, `max_steps`.

    Args:
        config: is changed in place.
        source: the checkpoint, or the folder of checkpoints, that it goes on from.
    """
    before = _training_of(source)
    same = {
        "batch_size": True,
        "val_every": True,
        "max_steps": before.get("max_epochs") == config.get("max_epochs"),
    }
    for key, takes in same.items():
        if config[key] in UNSETTLED and takes and is_count(before.get(key)) and before[key]:
            config[key] = before[key]


def _training_of(source: Path) -> dict[str, Any]:
    """What a checkpoint says of its training; nothing where it is damaged: loading says so."""
    for name in (checkpoint.LAST, checkpoint.PREVIOUS) if source.is_dir() else ("",):
        with suppress(InputError):
            return checkpoint.read_meta(source / name).get("training", {})
    return {}


def unsettled(config: Mapping[str, Any]) -> set[str]:
    """The keys that a run will settle by itself, so that another run's number is none of another config."""
    return {key for key in ("batch_size", "max_steps", "val_every") if config.get(key) in UNSETTLED}
