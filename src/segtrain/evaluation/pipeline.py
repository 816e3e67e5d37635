"""The predictions of a split, image after image: the network's, and those after the CRF.

A GPU is kept busy: while the host reads the labels of one batch, the next one is predicted. The argmax, the
counting of pixels and the CRF happen there too; what comes to the host are labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from segtrain.contracts import Crf, RefinesBatches, Sample
from segtrain.crf.pipeline import refine_in_threads
from segtrain.engine.transfer import to_device, to_host
from segtrain.evaluation.predictor import Predict
from segtrain.metrics.regions import confusion_matrix

Item = TypeVar("Item")


class Predicted(NamedTuple):
    """What was predicted for an image, on the host; or for the images of a batch, where it was predicted.

    Attributes:
        labels: class indices uint8 H×W; 0 and 1 H×W×C where a pixel has several labels.
        confidence: their probabilities float32, where they are wanted.
        matrix: the confusion matrix int64 C×C, where a GPU has counted it.
    """

    labels: Tensor
    confidence: Tensor | None
    matrix: Tensor | None


Stages = list[Predicted]  # the network's, and that after the CRF where there is one


def predictions(
    predict: Predict,
    batches: Iterable[list[Sample]],
    num_classes: int,
    crf: Crf | None,
    *,
    with_confidence: Callable[[range], bool],
) -> Iterator[tuple[Sample, Stages]]:
    """Each sample with the network's prediction and, where there is a CRF, with that after it.

    Args:
        predict: the network.
        batches: samples of one size each.
        num_classes: C of the confusion matrices.
        crf: refines the probabilities; one that `RefinesBatches` does so where they are.
        with_confidence: whether the labels' probabilities are wanted of a batch, by the images' indices.

    Raises:
        DivergedError, NotFinite: as `Predict.check`.
    """
    if crf is not None and not isinstance(crf, RefinesBatches):
        yield from _refined_in_threads(predict, batches, crf)
        return
    for samples, arrived in one_later(
        (samples, _sent(_predicted(predict, samples, num_classes, crf, with_confidence(indices)), predict))
        for indices, samples in _counted_on(batches)
    ):
        stages, totals = arrived()
        predict.check(samples, totals)
        yield from zip(samples, zip(*stages, strict=True), strict=True)


def _counted_on(batches: Iterable[list[Sample]]) -> Iterator[tuple[range, list[Sample]]]:
    """Each batch with its images' indices, from 0 on."""
    start = 0
    for samples in batches:
        yield range(start, start + len(samples)), samples
        start += len(samples)


def one_later(items: Iterable[Item]) -> Iterator[Item]:
    """Yields each item once the next one is there, so that what the next one began goes on meanwhile."""
    held: list[Item] = []
    for item in items:
        yield from held
        held = [item]
    yield from held


@torch.inference_mode()
def _predicted(
    predict: Predict,
    samples: list[Sample],
    num_classes: int,
    crf: RefinesBatches | None,
    with_confidence: bool,
) -> Stages:
    """The stages of a batch, on the device."""
    if crf is not None:
        images = torch.from_numpy(np.stack([sample.rgb for sample in samples]))
        probabilities = predict(samples)
        refined = crf.on_device(to_device(images, probabilities.device).movedim(3, 1), probabilities)
        pairs = [_labels_and_confidence(predict, each) for each in (probabilities, refined)]
    elif with_confidence:
        pairs = [predict.confident_labels(samples)]
    else:
        return [Predicted(labels := predict.labels(samples), None, _counted(samples, labels, num_classes))]
    return [Predicted(*pair, _counted(samples, pair[0], num_classes)) for pair in pairs]


def _counted(samples: list[Sample], labels: Tensor, num_classes: int) -> Tensor | None:
    """The images' confusion matrices int64 N×C×C by a GPU; of other processors, and where a pixel has several
    labels, nobody counts here."""
    if not labels.is_cuda or labels.ndim != 3 or any(sample.mask.ndim != 2 for sample in samples):
        return None
    masks = to_device(torch.from_numpy(np.stack([sample.mask for sample in samples])), labels.device)
    return torch.stack([confusion_matrix(*pair, num_classes) for pair in zip(masks, labels, strict=True)])


def _sent(stages: Stages, predict: Predict) -> Callable[[], tuple[list[list[Predicted]], list[Tensor]]]:
    """Starts the way of a batch's stages to the host, and that of the sums of its logits; what is given waits
    for them, and has each stage's images."""
    sent = [[None if x is None else to_host(x) for x in stage] for stage in stages]
    totals = [to_host(total) for total in predict.totals()]

    def arrived() -> tuple[list[list[Predicted]], list[Tensor]]:
        whole = [[None if there is None else there() for there in stage] for stage in sent]
        images = [
            [Predicted(*(None if x is None else x[i] for x in stage)) for i in range(len(stage[0]))]  # type: ignore[arg-type]
            for stage in whole
        ]
        return images, [there() for there in totals]

    return arrived


def _refined_in_threads(
    predict: Predict, batches: Iterable[list[Sample]], crf: Crf
) -> Iterator[tuple[Sample, Stages]]:
    """The CRF on the host, beside the network."""

    def refine(image: np.ndarray, probabilities: np.ndarray) -> Stages:
        both = (probabilities, crf(image, probabilities))
        pairs = [_labels_and_confidence(predict, torch.from_numpy(each)[None]) for each in both]
        return [Predicted(labels[0], confidence[0], None) for labels, confidence in pairs]

    def predicted() -> Iterator[tuple[Sample, np.ndarray, np.ndarray]]:
        for samples in batches:
            found = predict(samples).cpu().numpy()
            predict.check(samples)
            for sample, probabilities in zip(samples, found, strict=True):
                yield sample, sample.rgb, probabilities

    return refine_in_threads(refine, predicted())


def _labels_and_confidence(predict: Predict, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Of class probabilities N×C×H×W."""
    labels = predict.task.labels(probabilities)
    return labels, predict.task.confidence(probabilities, labels)
