"""Evaluation: one confusion matrix over a split, and the dense CRF where it is given."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from segtrain.contracts import Crf, EvaluationStopped, Metric, Sample, Split
from segtrain.crf.pipeline import refine_in_threads
from segtrain.distributed import process_group
from segtrain.engine.loader import evaluation_batches
from segtrain.evaluation.predictor import Predict, argmax_labels
from segtrain.evaluation.result import EvaluationResult
from segtrain.metrics.regions import Scores, confusion_matrix, scores

LabelsAndConfidence = tuple[
    np.ndarray, np.ndarray | None
]  # class indices uint8 H×W, their probabilities float32 H×W


class ImageResult(NamedTuple):
    """One evaluated image.

    Attributes:
        position: in the split.
        sample: the image and its mask.
        network: the network's prediction, uint8 H×W.
        crf: the prediction after the CRF, uint8 H×W; None without one.
        matrices: the confusion matrices of the network and, with a CRF, after it; C×C each.
    """

    position: int
    sample: Sample
    network: np.ndarray
    crf: np.ndarray | None
    matrices: list[Tensor]

    @property
    def final(self) -> np.ndarray:
        """The prediction after the CRF where there is one."""
        return self.network if self.crf is None else self.crf


class EvaluationSettings(NamedTuple):
    """How to evaluate: images in a batch, loader processes."""

    batch_size: int = 1
    num_workers: int = 0


class Accumulator:
    """What is added up over the images, for the network or for the CRF.

    Args:
        num_classes: C of the confusion matrix.
        metrics: beyond it.
    """

    def __init__(self, num_classes: int, metrics: list[Metric]):
        self.matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.metrics = metrics

    def update(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray | None) -> Tensor:
        """Adds an image and gives its confusion matrix; further metrics need its confidence."""
        mask = torch.from_numpy(sample.mask)
        matrix = confusion_matrix(mask, torch.from_numpy(labels), len(self.matrix))
        self.matrix += matrix
        for metric in self.metrics:
            assert confidence is not None
            metric.update(sample, labels, confidence)
        return matrix

    def compute(self, class_names: tuple[str, ...], device: torch.device) -> Scores:
        """The scores over the images of all processes."""
        extra: dict[str, Any] = {}
        result = scores(_over_all_ranks(self.matrix, device), class_names)
        for metric in self.metrics:
            extra |= metric.compute(_over_all_ranks(metric.sums, device))
        return replace(result, extra=extra)


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
) -> EvaluationResult:
    """Evaluates predictions against the masks of a split.

    Args:
        predict: on `device`.
        crf: refines the probabilities of each image.
        make_metrics: makes the metrics beyond the confusion matrix; called for the network and for the CRF.
        on_image: gets the result of each image of this process.
        advance: gets the number of images that were evaluated, for a progress bar.
        should_stop: asked after every image.

    Returns:
        The result over the images of all processes, without intervals.

    Raises:
        EvaluationStopped: on every rank, where `should_stop` was true on one.
    """
    start, classes = time.perf_counter(), len(class_names)
    accumulators = [Accumulator(classes, make_metrics()) for _ in range(1 if crf is None else 2)]
    rank, world_size = process_group.rank(), process_group.world_size()
    batches = evaluation_batches(
        dataset,
        settings.batch_size,
        num_workers=settings.num_workers,
        rank=rank,
        world_size=world_size,
    )
    if crf is None:
        predicted = _predictions(predict, batches, with_confidence=bool(accumulators[0].metrics))
    else:
        predicted = _refined_predictions(predict, batches, crf)
    stopped = False
    for i, (sample, predictions) in enumerate(predicted):
        pairs = zip(accumulators, predictions, strict=True)
        matrices = [accumulator.update(sample, *prediction) for accumulator, prediction in pairs]
        labels = [labels for labels, _ in predictions]
        refined = labels[1] if len(labels) > 1 else None
        on_image(ImageResult(rank + i * world_size, sample, labels[0], refined, matrices))
        advance(1)
        if stopped := should_stop():
            break
    if process_group.any_rank(stopped, device):
        raise EvaluationStopped

    network, *after_crf = (accumulator.compute(class_names, device) for accumulator in accumulators)
    seconds = time.perf_counter() - start
    return EvaluationResult(network, after_crf[0] if after_crf else None, len(dataset), seconds)


def _predictions(
    predict: Predict, batches: Iterable[list[Sample]], *, with_confidence: bool
) -> Iterator[tuple[Sample, list[LabelsAndConfidence]]]:
    """Each sample with the network's prediction."""
    predictions: Iterable[LabelsAndConfidence]
    for samples in batches:
        if with_confidence:
            labels, confidence = (x.cpu().numpy() for x in predict.confident_labels(samples))
            predictions = zip(labels, confidence, strict=True)
        else:
            predictions = ((labels, None) for labels in predict.labels(samples).cpu().numpy())
        for sample, prediction in zip(samples, predictions, strict=True):
            yield sample, [prediction]


def _refined_predictions(
    predict: Predict, batches: Iterable[list[Sample]], crf: Crf
) -> Iterator[tuple[Sample, list[LabelsAndConfidence]]]:
    """Each sample with the network's prediction and the CRF's, which runs beside the network."""

    def refine(image: np.ndarray, probabilities: np.ndarray) -> list[LabelsAndConfidence]:
        return [_prediction(probabilities), _prediction(crf(image, probabilities))]

    def predicted() -> Iterator[tuple[Sample, np.ndarray, np.ndarray]]:
        for samples in batches:
            for sample, probabilities in zip(samples, predict(samples).cpu().numpy(), strict=True):
                yield sample, sample.image, probabilities

    return refine_in_threads(refine, predicted())


def _prediction(probabilities: np.ndarray) -> LabelsAndConfidence:
    """Of class probabilities C×H×W."""
    return argmax_labels(torch.from_numpy(probabilities)[None])[0].numpy(), probabilities.max(0)


def _over_all_ranks(sums: Tensor, device: torch.device) -> Tensor:
    if process_group.world_size() == 1:  # not every device has the dtype
        return sums
    return process_group.sum_over_ranks(sums.to(device)).cpu()
