"""Evaluation: whole pictures, one confusion matrix, and the dense CRF where it is given."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.data.sample import Sample
from segtrain.engine import distributed
from segtrain.engine.device import Compute
from segtrain.engine.loader import evaluation_batches
from segtrain.metrics import confusion_matrix, scores
from segtrain.sizes import upsample_logits

Crf = Callable[[np.ndarray, np.ndarray], np.ndarray]  # image H×W×3, probabilities C×H×W -> C×H×W
Watch = Callable[[int, Sample, np.ndarray, np.ndarray | None], None]


class Settings(NamedTuple):
    """How to evaluate: pictures a pass, loader processes."""

    batch_size: int = 1
    num_workers: int = 0


def evaluate(
    model: nn.Module,
    dataset,
    class_names: tuple[str, ...],
    compute: Compute,
    settings: Settings,
    *,
    crf: Crf | None = None,
    watch: Watch = lambda *_: None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict:
    """The figures of `metrics.json` (INTERFACE: `pixel_accuracy` ... `per_class`, `images`, `seconds`).

    Args:
        model: on `compute.device`.
        crf: refines each picture's probabilities; then the figures are those after it, and
            `without_crf` holds the same keys for the network alone.
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
    training, index = model.training, rank
    model.eval()
    for samples in batches:
        probabilities = predict(model, [s.image for s in samples], compute)
        for sample, picture in zip(samples, probabilities, strict=True):
            predicted = picture.argmax(0).to(torch.uint8).cpu()
            labels = torch.from_numpy(sample.mask)
            matrices[0] += confusion_matrix(labels, predicted, classes)
            refined = None
            if crf is not None:
                refined = crf(sample.image, picture.cpu().numpy()).argmax(0).astype(np.uint8)
                matrices[1] += confusion_matrix(labels, torch.from_numpy(refined), classes)
            watch(index, sample, predicted.numpy(), refined)
            index += world_size
        advance(len(samples))
    model.train(training)

    matrices = distributed.sum_over_ranks(matrices.to(compute.device)).cpu()
    figures = scores(matrices[1 if crf else 0], class_names)
    figures |= {"images": len(dataset), "seconds": time.perf_counter() - start}
    figures["confusion_matrix"] = matrices[1 if crf else 0].tolist()
    if crf:
        figures["without_crf"] = scores(matrices[0], class_names)
    return figures


@torch.inference_mode()
def predict(model: nn.Module, images: list[np.ndarray], compute: Compute) -> Tensor:
    """Class probabilities, float32 N×C×H×W, of uint8 H×W×3 pictures of one size."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(compute.device)
    with compute.autocast():
        logits = model(batch)["out"]
    return upsample_logits(logits.float(), batch.shape[-2:]).softmax(1)
