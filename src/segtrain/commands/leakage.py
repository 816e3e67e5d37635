"""Checkpoints that were trained on images that they are evaluated on, as the folds of one data set are."""

from __future__ import annotations

from typing import Any

from segtrain.config.data_node import make_data
from segtrain.config.instantiate import TARGET
from segtrain.contracts import HasPairs, HasSources, Split
from segtrain.data.datasets.splits import source_of
from segtrain.engine.checkpoint import Checkpoint
from segtrain.errors import InputError, SegtrainError
from segtrain.loggers.run_log import RunLog

DRAWN = ("fold", "folds", "group", "seed", "val_fraction")  # keys of data that draw the splits anew
Key = tuple[str, str]  # an image's file, or the data set's class where it has none, and its name


def check_leakage(
    configs: list[dict[str, Any]], saved: list[Checkpoint], images: Split, split: str, log: RunLog
) -> None:
    """Says which images trained the checkpoints that are evaluated on them; other folds of the same data are
    refused.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set is the first one's.
        images: that are evaluated, the split `split` of it.

    Raises:
        InputError: several checkpoints, of which one has another fold and was trained on images of these.
    """
    evaluated, pairs = configs[0]["data"], zip(configs, saved, strict=True)
    nodes = [training_data(config["data"], one.meta["config"]["data"]) for config, one in pairs]
    if split != "train":
        nodes = [node for node in nodes if node != evaluated]  # the splits of one data set are apart
    if not nodes or not isinstance(images, HasSources | HasPairs):
        return
    keys = {_key(images, i, evaluated) for i in range(len(images))}
    trained = [(len(keys & trained_on(node)), node) for node in nodes]
    leaking = [count for count, _ in trained if count]
    if not leaking:
        return
    of = f"{len(leaking)} of {len(saved)} checkpoints were" if len(saved) > 1 else "this checkpoint was"
    what = f"split={split}: {of} trained on {max(leaking)} of these {len(keys)} images"
    other_folds = [n for count, n in trained if count and any(n.get(k) != evaluated.get(k) for k in DRAWN)]
    if split != "train" and len(saved) > 1 and other_folds:
        raise InputError(what, do="evaluate folds on images that no fold has: split=test, or other data")
    log.say(f"{what}: the metrics say little of new ones")


def training_data(given: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """The config of the data that a checkpoint was trained on, at the place where the user has them now."""
    if given.get(TARGET) == saved.get(TARGET) and "root" in given:
        return saved | {"root": given["root"]}
    return saved


def trained_on(node: dict[str, Any]) -> set[Key]:
    """The training images of a data set; none where it is not to be found."""
    try:
        train = make_data({key: value for key, value in node.items() if key != "download"}).train
        return {_key(train, i, node) for i in range(len(train))}
    except (SegtrainError, OSError):
        return set()


def _key(split: Split, index: int, node: dict[str, Any]) -> Key:
    name, path = source_of(split, index)
    return (str(path.resolve()) if path else str(node.get(TARGET)), name)
