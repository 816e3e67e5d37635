"""What a data set, a split or a model may offer beyond its contract. Code asks by `isinstance`, and does
without what is not offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Pair(NamedTuple):
    """An image and its mask in files.

    Attributes:
        name: for messages and predictions.
        image: the image's path.
        mask: the mask's path.
    """

    name: str
    image: Path
    mask: Path


@runtime_checkable
class HasLabels(Protocol):
    """A split whose masks can be read without their images."""

    def labels(self, index: int, /) -> tuple[np.ndarray, str]:
        """A sample's mask (uint8 H×W) and name. Raises InputError."""
        ...


@runtime_checkable
class HasIdentity(Protocol):
    """A split that says when its masks have changed, so that what was counted in them can be kept."""

    def identity(self) -> list[Any]:
        """A JSON value that changes with the masks' names, paths, sizes or times. Raises OSError."""
        ...


@runtime_checkable
class HasPairs(HasLabels, Protocol):
    """A split whose images and masks are files: a complaint names the file."""

    @property
    def pairs(self) -> Sequence[Pair]:
        """The files, in the split's order."""
        ...

    @property
    def label_map(self) -> Mapping[int, int]:
        """Stored value -> label, for the values that are not stored as labels."""
        ...

    def image(self, index: int, /) -> np.ndarray:
        """A sample's image, uint8 H×W×3 RGB. Raises InputError."""
        ...

    def stored(self, index: int, /) -> np.ndarray:
        """The numbers of a sample's mask as they are stored, H×W integers. Raises InputError."""
        ...


@runtime_checkable
class HasInstances(Protocol):
    """A split with instance masks, as VOC's SegmentationObject."""

    def instances(self, index: int) -> np.ndarray | None:
        """uint8 H×W: the number of the object at each pixel, 0 for none; None where there is no file."""
        ...


@runtime_checkable
class HasSubmission(Protocol):
    """A data set that a benchmark's server scores."""

    submission: Any


@runtime_checkable
class HasMetrics(Protocol):
    """A data set with metrics of its own: options of `metric=`, by name."""

    extra_metrics: Sequence[str]


@runtime_checkable
class HasClasses(Protocol):
    """What knows its classes: a data set, or a model of `load_model`.

    Attributes:
        class_names: one for each class index.
        palette: the RGB colour of each class, 0..255.
    """

    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


@runtime_checkable
class HasTask(Protocol):
    """A model that knows what its logits mean (`segtrain.tasks.Task`).

    Attributes:
        task: of `task=` and `threshold=`, as it was trained.
    """

    task: Any


@runtime_checkable
class HasWhite(Protocol):
    """A model that knows how its data set reads 16-bit grey images.

    Attributes:
        white: the number that becomes 255.
    """

    white: int
