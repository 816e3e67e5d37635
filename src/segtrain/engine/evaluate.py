"""Evaluation: one confusion matrix over a split, and the dense CRF where it is given."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from segtrain.data.sample import Sample
from segtrain.engine import distributed
from segtrain.engine.loader import evaluation_batches
from segtrain.metrics.regions import confusion_matrix, scores

Predict = Callable[[list[Sample]], Tensor]  # samples of one size -> probabilities N×C×H×W
Crf = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image H×W×3, probabilities C×H×W -> C×H×W


class Extra(Protocol):
    """A metric that adds pictures up in `sums`, which several processes can add up again."""

    sums: Tensor

    def add(self, sample: Sample, probabilities: np.ndarray) -> None: ...

    def figures(self, sums: Tensor) -> dict[str, float]: ...


Watch = Callable[[int, Sample, np.ndarray, np.ndarray | None], None]


class Settings(NamedTuple):
    """How to evaluate: pictures a pass, loader processes."""

    batch_size: int = 1
    num_workers: int = 0


def evaluate(
    predict: Predict,
    dataset,
    class_names: tuple[str, ...],
    device: torch.device,
    settings: Settings,
    *,
    crf: Crf | None = None,
    extra: Iterable[Extra] = (),
    watch: Watch = lambda *_: None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict:
    """The figures of `metrics.json` (INTERFACE: `pixel_accuracy` ... `per_class`, `images`, `seconds`).

    Args:
        predict: a `Predictor` or an `Ensemble` on `device`.
        crf: refines each picture's probabilities; then the figures are those after it, and
            `without_crf` holds the same keys for the network alone.
        extra: metrics of the data set's own, on the probabilities before the CRF.
        watch: gets each picture's index, sample, predicted and refined labels (uint8 H×W).
        advance: gets the number of pictures done, for a progress bar.
    """
    start, classes = time.perf_counter(), len(class_names)
    matrices = torch.zeros(2, classes, classes, dtype=torch.int64)
    rank, world_size = distributed.rank(), distributed.world_size()
    batches = evaluation_batches(
        dataset,
        settings.batch_size,
        num_workers=settings.num_workers,
        rank=rank,
        world_size=world_size,
    )
    index = rank
    for samples in batches:
        probabilities = predict(samples)
        for sample, picture in zip(samples, probabilities, strict=True):
            predicted = picture.argmax(0).to(torch.uint8).cpu()
            labels = torch.from_numpy(sample.mask)
            matrices[0] += confusion_matrix(labels, predicted, classes)
            for metric in extra:
                metric.add(sample, picture.cpu().numpy())
            refined = None
            if crf is not None:
                refined = crf(sample.image, picture.cpu().numpy()).argmax(0).astype(np.uint8)
                matrices[1] += confusion_matrix(labels, torch.from_numpy(refined), classes)
            watch(index, sample, predicted.numpy(), refined)
            index += world_size
        advance(len(samples))

    matrices = distributed.sum_over_ranks(matrices.to(device)).cpu()
    figures = scores(matrices[1 if crf else 0], class_names)
    figures |= {"images": len(dataset), "seconds": time.perf_counter() - start}
    figures["confusion_matrix"] = matrices[1 if crf else 0].tolist()
    for metric in extra:
        figures |= metric.figures(distributed.sum_over_ranks(metric.sums.to(device)).cpu())
    if crf:
        figures["without_crf"] = scores(matrices[0], class_names)
    return figures
