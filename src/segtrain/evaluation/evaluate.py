"""Evaluation: one confusion matrix over a split, and the dense CRF where it is given."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from segtrain.contracts import Sample
from segtrain.crf.pipeline import refine_ahead
from segtrain.distributed import process_group
from segtrain.engine.loader import evaluation_batches
from segtrain.evaluation.predictor import Predict, argmax_labels
from segtrain.metrics.regions import confusion_matrix, scores

Crf = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image H×W×3, probabilities C×H×W -> C×H×W


class Extra(Protocol):
    """A metric that adds images up in `sums`, which several processes can add up again."""

    sums: Tensor

    def add(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image: the most probable classes, uint8 H×W, and their probabilities, float32 H×W."""
        ...

    def metrics(self, sums: Tensor) -> dict: ...


class Seen(NamedTuple):
    """What a watcher gets of every image.

    index: its place in the split. predicted, refined: the network's labels and, where there is one,
    the CRF's, uint8 H×W. matrices: their confusion matrices, one or two C×C.
    """

    index: int
    sample: Sample
    predicted: np.ndarray
    refined: np.ndarray | None
    matrices: list[Tensor]


class Interrupted(Exception):
    """An evaluation was broken off on request; there are no metrics."""


class Settings(NamedTuple):
    """How to evaluate: images a pass, loader processes."""

    batch_size: int = 1
    num_workers: int = 0


class Tally:
    """What is added up over the images for the network, or for the CRF."""

    def __init__(self, classes: int, extra: list[Extra]):
        self.matrix = torch.zeros(classes, classes, dtype=torch.int64)
        self.extra = extra

    def add(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray | None) -> Tensor:
        """Adds an image and gives its confusion matrix; extra metrics need its confidence."""
        mask = torch.from_numpy(sample.mask)
        matrix = confusion_matrix(mask, torch.from_numpy(labels), len(self.matrix))
        self.matrix += matrix
        for metric in self.extra:
            metric.add(sample, labels, confidence)
        return matrix

    def metrics(self, class_names: tuple[str, ...], device: torch.device) -> dict:
        """The metrics of all processes' images."""
        self.matrix = _of_all_ranks(self.matrix, device)
        metrics = scores(self.matrix, class_names)
        for metric in self.extra:
            metrics |= metric.metrics(_of_all_ranks(metric.sums, device))
        return metrics


def evaluate(
    predict: Predict,
    dataset,
    class_names: tuple[str, ...],
    device: torch.device,
    settings: Settings,
    *,
    crf: Crf | None = None,
    extra: Callable[[], list[Extra]] = list,
    watch: Callable[[Seen], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict:
    """The metrics of `metrics.json` (INTERFACE: `pixel_accuracy` ... `per_class`, `images`, `seconds`).

    Args:
        predict: on `device`.
        crf: refines each image's probabilities; then the metrics are those after it, and
            `without_crf` holds the same keys for the network alone.
        extra: makes the metrics beyond the confusion matrix, anew for the network and for the CRF.
        watch: gets each image with its labels.
        advance: gets the number of images that were done, for a progress bar.
        interrupted: asked after every image whether to break off.

    Raises:
        Interrupted: on every rank, where it was so on one.
    """
    start, classes = time.perf_counter(), len(class_names)
    tallies = [Tally(classes, extra()) for _ in range(1 if crf is None else 2)]
    rank, world_size = process_group.rank(), process_group.world_size()
    batches = evaluation_batches(
        dataset,
        settings.batch_size,
        num_workers=settings.num_workers,
        rank=rank,
        world_size=world_size,
    )
    labelled = _labelled(predict, batches, tallies) if crf is None else _refined(predict, batches, crf)
    broken_off = False
    for i, (sample, outcomes) in enumerate(labelled):
        pairs = zip(tallies, outcomes, strict=True)
        matrices = [tally.add(sample, *outcome) for tally, outcome in pairs]
        (predicted, _), *of_crf = outcomes
        watch(Seen(rank + i * world_size, sample, predicted, of_crf[0][0] if of_crf else None, matrices))
        advance(1)
        if broken_off := interrupted():
            break
    if process_group.any_rank(broken_off, device):
        raise Interrupted

    network, *after_crf = (tally.metrics(class_names, device) for tally in tallies)
    metrics = after_crf[0] if after_crf else network
    metrics |= {"images": len(dataset), "seconds": time.perf_counter() - start}
    metrics["confusion_matrix"] = tallies[-1].matrix.tolist()
    if after_crf:
        metrics["without_crf"] = network
    return metrics


Outcome = tuple[np.ndarray, np.ndarray | None]  # labels uint8 H×W, their probabilities float32 H×W


def _labelled(
    predict: Predict, batches: Iterable[list[Sample]], tallies: list[Tally]
) -> Iterator[tuple[Sample, list[Outcome]]]:
    """Each sample with the network's outcome: its confidence only where an extra metric needs it."""
    for samples in batches:
        if tallies[0].extra:
            maps = (x.cpu().numpy() for x in predict.confident_labels(samples))
            outcomes = zip(*maps, strict=True)
        else:
            outcomes = ((labels, None) for labels in predict.labels(samples).cpu().numpy())
        for sample, outcome in zip(samples, outcomes, strict=True):
            yield sample, [outcome]


def _refined(
    predict: Predict, batches: Iterable[list[Sample]], crf: Crf
) -> Iterator[tuple[Sample, list[Outcome]]]:
    """Each sample with the network's outcome and the CRF's, which works while the network does."""

    def refine(image: np.ndarray, probabilities: np.ndarray) -> list[Outcome]:
        return [_outcome(probabilities), _outcome(crf(image, probabilities))]

    def predicted() -> Iterator[tuple[Sample, np.ndarray, np.ndarray]]:
        for samples in batches:
            for sample, probabilities in zip(samples, predict(samples).cpu().numpy(), strict=True):
                yield sample, sample.image, probabilities

    return refine_ahead(refine, predicted())


def _outcome(probabilities: np.ndarray) -> Outcome:
    """Of class probabilities C×H×W."""
    return argmax_labels(torch.from_numpy(probabilities)[None])[0].numpy(), probabilities.max(0)


def _of_all_ranks(sums: Tensor, device: torch.device) -> Tensor:
    if process_group.world_size() == 1:  # not every device has the dtype
        return sums
    return process_group.sum_over_ranks(sums.to(device)).cpu()
