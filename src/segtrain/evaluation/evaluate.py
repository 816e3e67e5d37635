"""Evaluation: one confusion matrix over a split, and the dense CRF where it is given."""

import time
from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from segtrain.contracts import Crf, EvaluationStopped, Metric, Sample, Split
from segtrain.distributed import process_group
from segtrain.engine.loader import evaluation_batches
from segtrain.errors import InputError
from segtrain.evaluation.pipeline import Predicted, predictions
from segtrain.evaluation.predictor import Predict
from segtrain.evaluation.result import EvaluationResult
from segtrain.input_spec import RGB8, InputSpec
from segtrain.metrics.average_precision import EDGES, AveragePrecision, best_threshold, two_class_matrix
from segtrain.metrics.regions import Scores, confusion_matrix, label_matrices, scores
from segtrain.tasks import Task

OF_THE_OBJECT = ("iou", "dice", "precision", "recall")  # metrics of task=binary, beside the two classes'


class ImageResult(NamedTuple):
    """One evaluated image.

    Attributes:
        position: in the split.
        sample: the image and its mask.
        network: the network's prediction, uint8 H×W; H×W×C where a pixel has several labels.
        crf: the prediction after the CRF, uint8 H×W; None without one.
        matrices: the confusion matrices of the network and, with a CRF, after it; C×C or C×2×2 each.
        confidence: the probability of the final labels, float32 H×W or H×W×C; None where it was not wanted.
    """

    position: int
    sample: Sample
    network: np.ndarray
    crf: np.ndarray | None
    matrices: list[Tensor]
    confidence: np.ndarray | None = None

    @property
    def final(self) -> np.ndarray:
        """The prediction after the CRF where there is one."""
        return self.network if self.crf is None else self.crf


class EvaluationSettings(NamedTuple):
    """How to evaluate: images in a batch, loader processes; whether the best threshold is chosen (of
    `task=binary`)."""

    batch_size: int = 1
    num_workers: int = 0
    choose_threshold: bool = False


class Accumulator:
    """What is added up over the images, for the network or for the CRF.

    Args:
        num_classes: C of the confusion matrix.
        metrics: beyond it.
        task: what was predicted.
    """

    def __init__(self, num_classes: int, metrics: list[Metric], task: Task):
        shape = (num_classes, 2, 2) if task.multilabel else (num_classes, num_classes)
        self.matrix = torch.zeros(shape, dtype=torch.int64)
        self.metrics, self.task = metrics, task

    def update(self, sample: Sample, predicted: Predicted) -> Tensor:
        """Adds an image and gives its confusion matrix; further metrics need its confidence."""
        labels, confidence, matrix = predicted
        if sample.mask.ndim != labels.ndim:
            raise InputError(
                f"{sample.name}: its mask has several classes a pixel", do="train with task=multilabel"
            )
        if self.task.multilabel:
            matrix = label_matrices(torch.from_numpy(sample.mask), labels)
        elif matrix is None:
            matrix = confusion_matrix(torch.from_numpy(sample.mask), labels, len(self.matrix))
        self.matrix += matrix
        for metric in self.metrics:
            assert confidence is not None
            metric.update(sample, labels.numpy(), confidence.numpy())
        return matrix

    def best_threshold(self, device: torch.device) -> float:
        """The threshold that would give the object the largest IoU over the images of all processes."""
        return best_threshold(_over_all_ranks(self._curve.sums, device))

    def compute(
        self, class_names: tuple[str, ...], device: torch.device, threshold: float | None = None
    ) -> Scores:
        """The scores over the images of all processes.

        Args:
            threshold: one of `best_threshold`, for which the confusion matrix is counted anew; the further
                metrics stay those of the predictions.
        """
        extra: dict[str, Any] = {}
        matrix = _over_all_ranks(self.matrix, device)
        if threshold is not None:
            sums = _over_all_ranks(self._curve.sums, device)
            matrix = torch.from_numpy(two_class_matrix(sums, int(np.searchsorted(EDGES, threshold))))
        result = scores(matrix, class_names)
        if self.task.name == "binary":
            extra |= {name: result.per_class[class_names[1]][name] for name in OF_THE_OBJECT}
            extra["threshold"] = self.task.threshold if threshold is None else threshold
        for metric in self.metrics:
            extra |= metric.compute(_over_all_ranks(metric.sums, device))
        return replace(result, extra=extra)

    @property
    def _curve(self) -> AveragePrecision:
        return next(metric for metric in self.metrics if isinstance(metric, AveragePrecision))


def evaluate_split(
    predict: Predict,
    dataset: Split,
    class_names: tuple[str, ...],
    device: torch.device,
    settings: EvaluationSettings,
    *,
    crf: Crf | None = None,
    make_metrics: Callable[[], list[Metric]] = list,
    on_image: Callable[[ImageResult], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    spec: InputSpec = RGB8,
    confident: Container[int] = (),
) -> EvaluationResult:
    """Evaluates predictions against the masks of a split.

    Args:
        predict: on `device`.
        crf: refines the probabilities of each image.
        make_metrics: makes the metrics beyond the confusion matrix; called for the network and for the CRF.
        on_image: gets the result of each image of this process.
        advance: gets the number of images that were evaluated, for a progress bar.
        should_stop: asked after every image, and while one is waited for.
        spec: of the images.
        confident: positions of images of which `on_image` gets the confidence; others may come with it.

    Returns:
        The result over the images of all processes, without intervals.

    Raises:
        EvaluationStopped: on every rank, where `should_stop` was true on one.
    """
    start, classes = time.perf_counter(), len(class_names)
    stages = 1 if crf is None else 2
    accumulators = [Accumulator(classes, make_metrics(), predict.task) for _ in range(stages)]
    rank, world_size = process_group.rank(), process_group.world_size()
    batches = evaluation_batches(
        dataset,
        settings.batch_size,
        num_workers=settings.num_workers,
        rank=rank,
        world_size=world_size,
        spec=spec,
        should_stop=should_stop,
    )
    wanted = _wanting(bool(accumulators[0].metrics), confident, rank, world_size)
    predicted = predictions(predict, batches, classes, crf, with_confidence=wanted)
    stopped, expected = False, len(range(rank, len(dataset), world_size))
    i = -1
    for i, (sample, stages_of_image) in enumerate(predicted):
        pairs = zip(accumulators, stages_of_image, strict=True)
        matrices = [accumulator.update(sample, prediction) for accumulator, prediction in pairs]
        labels = [prediction.labels.numpy() for prediction in stages_of_image]
        refined = labels[1] if len(labels) > 1 else None
        confidence = stages_of_image[-1].confidence
        known = None if confidence is None else confidence.numpy()
        on_image(ImageResult(rank + i * world_size, sample, labels[0], refined, matrices, known))
        advance(1)
        if stopped := should_stop():
            break
    if process_group.any_rank(stopped or i + 1 < expected):
        raise EvaluationStopped

    threshold = accumulators[0].best_threshold(device) if settings.choose_threshold else None
    network, *after_crf = (each.compute(class_names, device, threshold) for each in accumulators)
    seconds = time.perf_counter() - start
    return EvaluationResult(network, after_crf[0] if after_crf else None, len(dataset), seconds)


def _wanting(always: bool, confident: Container[int], rank: int, world_size: int) -> Callable[[range], bool]:
    """Whether the confidence is wanted of a batch, by its images' indices on this rank."""
    return lambda indices: always or any(rank + i * world_size in confident for i in indices)


def _over_all_ranks(sums: Tensor, device: torch.device) -> Tensor:
    if process_group.world_size() == 1:  # not every device has the dtype
        return sums
    return process_group.sum_over_ranks(sums.to(device)).cpu()
