"""The contracts between the rooms: what a data set, a model, a loss, a metric, a logger and an
inference offer. One's own class needs no base class of ours, only these methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from segtrain.contracts.optional import (  # noqa: F401 (for those who import them from here)
    HasClasses,
    HasGroups,
    HasIdentity,
    HasInputHints,
    HasInstances,
    HasLabels,
    HasMetrics,
    HasPairs,
    HasReader,
    HasSources,
    HasSubmission,
    HasTask,
    HasTest,
    InputHints,
    Pair,
    RandomState,
    ReactsToMetric,
    RefinesBatches,
    VariesByEpoch,
)
from segtrain.errors import InputError
from segtrain.input_spec import RGB8, InputSpec

if TYPE_CHECKING:  # torch takes a second to import, and the command line needs none of it
    from torch import Tensor, nn


class EvaluationStopped(Exception):
    """An evaluation was stopped on request: there are no metrics."""


IGNORE_INDEX = 255  # the label of an ignored pixel, in every mask that leaves a data set

Colour = tuple[int, int, int]


class Sample(NamedTuple):
    """One image with its mask.

    Attributes:
        image: H×W×C, as stored: uint8 RGB, or other channels of uint8, uint16, int16 or float32.
        mask: uint8 H×W of class indices; 255 is an ignored pixel. Where a pixel may have several classes
            (`task=multilabel`) uint8 H×W×C of 0, 1 and 255.
        name: of the image, for messages and files.
        input: what the image's numbers mean; a data set may leave it out.
    """

    image: np.ndarray
    mask: np.ndarray
    name: str
    input: InputSpec = RGB8

    def of(self, spec: InputSpec) -> Sample:
        """The sample with what its image's numbers mean. Raises InputError where it is not such an image."""
        channels = self.image.shape[2] if self.image.ndim == 3 else 0
        if (channels, str(self.image.dtype)) != (spec.channels, spec.dtype):
            raise InputError(
                f"{self.name}: the image must have {spec.channels} channels of {spec.dtype}, as the network"
                f" takes, got {channels} of {self.image.dtype}",
                do="choose channels by data.channels, as [1,2,3]",
            )
        return self._replace(input=spec)

    @property
    def rgb(self) -> np.ndarray:
        """The image as people see it, and the CRF: uint8 H×W×3."""
        return self.input.to_rgb(self.image)


class Split(Protocol):
    """The images of one split, by index. A split may also satisfy HasInstances, HasLabels, HasIdentity or
    HasPairs: what finds them asks by isinstance, and what a split lacks is done without."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class Dataset(Protocol):
    """A data set: `data=` builds one. It may also satisfy HasSubmission or HasMetrics.

    Attributes:
        class_names: one for each class index.
        palette: the RGB colour of each class, 0..255.
    """

    class_names: tuple[str, ...]
    palette: tuple[Colour, ...]

    @property
    def train(self) -> Split: ...

    @property
    def val(self) -> Split: ...


class Model(Protocol):
    """A network: images N×C×H×W (uint8 or float in the data's range) to {"out": logits N×K×h×w}, and in
    training its auxiliaries by name. What is pretrained is `backbone`."""

    def __call__(self, images: Tensor, /) -> dict[str, Tensor]: ...


class Loss(Protocol):
    """A loss: `loss=` builds one. The step divides the sums of all batches and ranks by their counts.

    Attributes:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
    """

    weights: Mapping[str, float]

    def __call__(self, outputs: dict[str, Tensor], masks: Tensor, /) -> Tensor:
        """The weighted sum (a scalar) over what `count` counts, of uint8 masks N×H×W."""
        ...

    def count(self, masks: Tensor, /) -> Tensor:
        """What the batch adds to the divisor (float32 scalar)."""
        ...


@runtime_checkable
class FollowsProgress(Protocol):
    """A loss that changes as training proceeds.

    Attributes:
        progress: the share of the training that is done, from 0 to 1; the training loop sets it.
    """

    progress: float


@runtime_checkable
class BalancesClasses(Protocol):
    """A loss with class weights, which may be computed from the classes' frequencies.

    Attributes:
        wants_frequencies: whether `balance` must be called before the loss is used.
        class_weights: float32 C, or None.
    """

    wants_frequencies: bool
    class_weights: Tensor | None

    def balance(self, weights: Sequence[float], /) -> None:
        """Sets the class weights."""
        ...


@runtime_checkable
class ChecksClasses(Protocol):
    """A loss that only some numbers of classes fit."""

    def check(self, num_classes: int, /) -> None:
        """Raises InputError where the number of classes does not fit."""
        ...


class Metric(Protocol):
    """A metric beyond the confusion matrix: `metric=` builds it, once for the network and once for the CRF.

    Attributes:
        sums: what is added up over the images; processes add theirs up again before `compute`.
    """

    sums: Tensor

    def update(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image.

        Args:
            labels: the predicted class indices, uint8 H×W.
            confidence: the probability of each, float32 H×W.
        """
        ...

    def compute(self, sums: Tensor) -> dict[str, Any]:
        """The values by name, for `metrics.json`: numbers, None where undefined, or dicts of them."""
        ...


class HasMeanIoU(Protocol):
    """Scores with a mean IoU, from 0 to 1; None where no class occurs."""

    @property
    def mean_iou(self) -> float | None: ...


class ValidationResult(Protocol):
    """What the training loop needs of a validation: the network's mean IoU decides which step is the best."""

    @property
    def network(self) -> HasMeanIoU: ...


class RunInfo(NamedTuple):
    """What a logger gets when a run begins.

    Attributes:
        folder: of the run, where a logger may write.
        command: train or eval.
        config: the resolved config.
        step: the step that the run was resumed at; 0 for a new one.
    """

    folder: Path
    command: str
    config: dict[str, Any]
    step: int = 0

    @property
    def name(self) -> str:
        """The run's name for people: the last two folders of its path."""
        return "/".join(self.folder.resolve().parts[-2:])


class Logger(Protocol):
    """Where the values of a run go: `logger=` builds them. Only rank 0 has loggers."""

    def start(self, run: RunInfo) -> None:
        """Called once, before anything is logged. Values of steps after `run.step`, left by the run that
        is resumed, will be logged again."""
        ...

    def log_scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Values of a step by name; `split` is train or val."""
        ...

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """An image, uint8 H×W×3 RGB."""
        ...

    def log_hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """The run's row in a table of runs: the options and numbers it was started with, and its results."""
        ...

    def flush(self) -> None:
        """Hands everything to the operating system: a kill after it loses nothing."""
        ...

    def close(self) -> None:
        """Called once, also where the run failed."""
        ...


# The logits N×C×h×W of the rows from start to stop, of images that need not exist as a whole.
Rows = Callable[[int, int], "Tensor"]
Network = Callable[["Tensor"], Rows]  # images N×C×H×W, uint8 or float in the data's range, to their logits


class Inference(Protocol):
    """How a network is applied to images: `inference=` builds one."""

    def __call__(self, network: Network, images: Tensor, names: list[str], /) -> Rows:
        """The logits N×C×H×W of images of one size; `names` are the images' own."""
        ...


@runtime_checkable
class TakesBorders(Protocol):
    """A network that puts a border around images, and also takes images that bring theirs (DilatedNet).

    Attributes:
        margin: width of the border in pixels.
    """

    margin: int

    def on_bordered(self, images: Tensor, /) -> Tensor:
        """The logits N×C×h×w of what lies inside the border of images N×3×H×W."""
        ...


Crf = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image H×W×3, probabilities C×H×W -> C×H×W
Schedule = Callable[[int, int], float]  # step, max_steps -> factor of the base learning rate
OptimizerFactory = Callable[["nn.Module"], Any]
