"""What a data set, a split, a model or a schedule may offer beyond its contract. Code asks by `isinstance`,
and does without what is not offered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from segtrain.input_spec import InputSpec

if TYPE_CHECKING:
    from torch import Tensor


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
class HasSources(Protocol):
    """A split that knows its samples without reading them."""

    def source(self, index: int, /) -> tuple[str, Path | None]:
        """A sample's name, and its image file; None where it has none of its own."""
        ...


@runtime_checkable
class HasGroups(Protocol):
    """A data set whose splits keep groups of images together.

    Attributes:
        group: what is found in the names; None: every image is its own group.
    """

    group: Any

    def group_of(self, name: str, /) -> str:
        """The group of an image's name. Raises InputError."""
        ...


@runtime_checkable
class HasTest(Protocol):
    """A data set with a test split, that neither trains nor validates."""

    @property
    def test(self) -> Any:
        """A `Split`. Raises NoSplit where this copy has none."""
        ...


@runtime_checkable
class VariesByEpoch(Protocol):
    """A split whose samples differ from epoch to epoch, as windows at random do; `split[i]` is epoch 0's."""

    def at(self, epoch: int, index: int, /) -> Any:
        """The sample of an epoch, a function of nothing else. Raises InputError."""
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


class InputHints(NamedTuple):
    """What a data set says of its images' numbers.

    Attributes:
        range: the lowest and the highest, None where nobody knows.
        rgb: the places of the three channels that are shown.
        unused: what files hold and no network gets, a line each.
    """

    range: Sequence[float] | None = None
    rgb: tuple[int, ...] | None = None
    unused: Sequence[str] = ()


@runtime_checkable
class HasInputHints(Protocol):
    """A data set that knows more of its images than their channels and their dtype."""

    def input_hints(self) -> InputHints:
        """Asked once, before training."""
        ...


@runtime_checkable
class HasReader(Protocol):
    """A model of `load_model`, which knows the images that it was trained on.

    Attributes:
        input_spec: what they are.
        read: reads a file as the data set did.
    """

    input_spec: InputSpec
    read: Callable[[Path], np.ndarray]


@runtime_checkable
class RandomState(Protocol):
    """A transform of albumentations, or one that is called as those are: `transform(image=..., mask=...)`
    gives a dict. Any other is called with (image, mask, rng) and gives (image, mask)."""

    def set_random_state(self, generator: np.random.Generator, python_random: Random, /) -> None:
        """Sets where the next random numbers come from."""
        ...

    def __call__(self, *, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]: ...


@runtime_checkable
class HasSavedKeys(Protocol):
    """A model that was built from what lies elsewhere: on a hub, in a file."""

    def saved_keys(self) -> dict[str, Any]:
        """Keys of the model's config for a checkpoint, by which it is built without that."""
        ...


@runtime_checkable
class ReactsToMetric(Protocol):
    """A schedule that follows the validations; its state is in the checkpoint."""

    def react(self, metric: float, /) -> None:
        """Takes the network's mean IoU after every validation."""
        ...

    def state(self) -> dict[str, float]:
        """Numbers by name, from which `restore` goes on."""
        ...

    def restore(self, state: dict[str, float], /) -> None: ...


@runtime_checkable
class RefinesBatches(Protocol):
    """A CRF that also refines what lies on a GPU, without a way over the host."""

    def __call__(self, image: np.ndarray, probabilities: np.ndarray, /) -> np.ndarray:
        """Probabilities C×H×W refined by an image H×W×3."""
        ...

    def on_device(self, images: Tensor, probabilities: Tensor, /) -> Tensor:
        """Probabilities float32 N×C×H×W refined by images N×3×H×W of the same device, on it."""
        ...
