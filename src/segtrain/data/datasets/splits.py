"""The splits of a data set by their names, and what is in them without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segtrain.contracts import (
    Dataset,
    HasInputHints,
    HasMetrics,
    HasPairs,
    HasSources,
    HasSubmission,
    HasTest,
    Split,
)
from segtrain.errors import NoSplit

SPLITS = ("train", "val", "test")


def split_of(data: Dataset, name: str) -> Split:
    """A split of a data set.

    Args:
        data: the data set.
        name: train, val, or test, which not every data set has.

    Raises:
        NoSplit: there is no test split.
        InputError: as making the split raises it.

    Example:
        >>> len(split_of(data, "test"))
    """
    if name == "test" and not isinstance(data, HasTest):
        raise NoSplit("this data set has none")
    return getattr(data, name)


def splits_of(data: Dataset) -> dict[str, Split]:
    """All splits that a data set has, by their names; one that is another, too, once. Raises InputError."""
    found: dict[str, Split] = {}
    for name in SPLITS:
        try:
            split = split_of(data, name)
        except NoSplit:
            continue
        if not any(split is other for other in found.values()):  # what validates may be the test split
            found[name] = split
    return found


def offer_alike(wrapper: Any, data: Dataset) -> None:
    """Gives a data set that is made of another what that one offers beyond its contract.

    Not by `__getattr__`: from Python 3.12 on, protocols do not see what that gives.

    Args:
        wrapper: is changed.
        data: what it is made of.

    Example:
        >>> offer_alike(self, data)
    """
    if isinstance(data, HasSubmission):
        wrapper.submission = data.submission
    if isinstance(data, HasMetrics):
        wrapper.extra_metrics = data.extra_metrics
    if isinstance(data, HasInputHints):
        wrapper.input_hints = data.input_hints


def source_of(split: Any, index: int) -> tuple[str, Path | None]:
    """A sample's name, and its image file where it has one; read only where the split cannot say."""
    if isinstance(split, HasSources):
        return split.source(index)
    if isinstance(split, HasPairs):
        pair = split.pairs[index]
        return pair.name, pair.image
    return split[index].name, None
