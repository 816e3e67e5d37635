"""`debug=overfit` and `debug=limit`: does it learn at all, and does every part of a run work?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segtrain.contracts import IGNORE_INDEX, Dataset
from segtrain.data.datasets.folds import subset_of
from segtrain.data.datasets.splits import offer_alike
from segtrain.distributed import process_group
from segtrain.engine.loader import Augmented, TrainingStream, training_batches
from segtrain.engine.state import TrainState
from segtrain.engine.step import step_seed, train_step
from segtrain.errors import InputError, NotLearned
from segtrain.loggers.run_log import RunLog

LEARNED = 0.05  # the loss of a batch that is known by heart
BATCHES, VALIDATED = 4, 8  # batches to train on and images to validate of `debug=limit`
STUCK = 0.9  # of the first loss: nothing was learned


def for_debugging(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a `debug=` run: in this process; of `limit` with two validations and checkpoints."""
    if not config.get("debug"):
        return config
    config = config | {"num_workers": 0 if config["num_workers"] == "auto" else config["num_workers"]}
    if config["debug"] == "overfit":
        return config | {"logger": {}}  # nothing is kept
    half = max(1, (config["max_steps"] or 2) // 2)
    return config | {"val_every": half, "checkpoint_every": half, "log_every": 1}


def check_unkept(config: Mapping[str, Any], folder: Path) -> None:
    """Raises InputError where a run for a look would write into the folder of a real one."""
    kind = "lr_find=true" if config.get("lr_find") else f"debug={config.get('debug')}"
    if kind != "debug=None" and (folder / "checkpoints").is_dir():
        raise InputError(
            f"{folder}: holds another run, which {kind} would change", do="leave out hydra.run.dir"
        )


def limited(data: Dataset, config: dict[str, Any]) -> Limited:
    """The data set of `debug=limit`: four steps to train on, eight images to validate."""
    size = 1 if config["batch_size"] == "auto" else config["batch_size"]
    return Limited(data, BATCHES * size * config["accumulate"] * process_group.world_size(), VALIDATED)


class Limited:
    """A data set of a few images, spread evenly over each split.

    Args:
        data: the data set.
        train, val: how many images at most.
    """

    def __init__(self, data: Dataset, train: int, val: int):
        self.train, self.val = _some(data.train, train), _some(data.val, val)
        self.class_names, self.palette = data.class_names, data.palette
        offer_alike(self, data)


def _some(split: Any, count: int) -> Any:
    chosen = [i * len(split) // count for i in range(count)] if count < len(split) else range(len(split))
    return subset_of([split], [(0, i) for i in chosen])


def overfit(state: TrainState, dataset: Augmented, log: RunLog) -> None:
    """Trains on the first batch again and again, at a constant rate, until its loss is below 0.05.

    Args:
        state: is changed.
        dataset: of the training split.
        log: of the run.

    Raises:
        InputError: no pixel of the batch has a label.
        NotLearned: the loss is not below 0.05 after `max_steps`.
        DivergedError: it is not finite.
    """
    settings = state.settings
    stream = TrainingStream(len(dataset), settings.batch_size, seed=settings.seed)
    with closing(training_batches(dataset, stream, num_workers=0)) as batches:
        batch = next(islice(batches, 1))
    if (batch[1] == IGNORE_INDEX).all():
        raise InputError("debug=overfit: no pixel of the first batch has a label", do="look at the masks")
    losses: list[float] = []
    with TemporaryDirectory() as unused, log.progress("overfitting", settings.max_steps) as advance:
        while len(losses) < settings.max_steps:
            for group in state.optimizer.param_groups:
                group["lr"] = group["base_lr"]
            state.compute.seed(step_seed(state))
            losses.append(sum(train_step(state, [batch], Path(unused))))
            state.step += 1
            advance(1, f"loss {losses[-1]:.4f}")
            if losses[-1] < LEARNED:
                break
    images = len(batch[2])
    if losses[-1] < LEARNED:
        log.say(
            f"debug=overfit: {images} images are known by heart after {len(losses)} steps, loss"
            f" {losses[-1]:.3f} (at first {losses[0]:.3f}): model, loss, masks and rate work together"
        )
        return
    raise NotLearned(
        f"debug=overfit: the loss of {images} images is {losses[-1]:.3f} after {len(losses)} steps, not below"
        f" {LEARNED} (at first {losses[0]:.3f}, at best {min(losses):.3f})",
        do=advice_for(losses, state),
    )


def advice_for(losses: list[float], state: TrainState) -> str:
    """What to look at, in the order of how often it is that."""
    if any(getattr(loss, "label_smoothing", 0) for loss in state.loss.losses):
        return "set label_smoothing=0 for this, whose loss never comes near 0"
    if len(state.loss.names) > 1 or state.loss.output_names != {"out"}:
        return "try loss=cross_entropy for this: a sum of several terms may stay above; else see optimizer.lr"
    if min(losses) > STUCK * losses[0]:
        return "nothing was learned: look at optimizer.lr (lr_find=true), freeze= and the masks (segdata)"
    if losses[-1] > 2 * min(losses):
        return "the loss jumps: lower optimizer.lr (lr_find=true proposes one)"
    return "it still falls: give max_steps=2000 or a higher optimizer.lr, or the model is too small (width=)"
