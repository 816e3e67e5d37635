"""The dense CRF on the CPU, compiled by numba: pydensecrf's marginals, many times as fast.

The compiled functions give up Python's lock: several threads can work on a picture each.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from segtrain.crf.compiled import CACHE
from segtrain.crf.field import make_field, order, scratch
from segtrain.crf.potentials import Kernel, without_labels
from segtrain.crf.rows import fill_rows, narrow, read_labels, read_rows, shares, size, width
from segtrain.crf.vectors import LANES

SETTLED = 1  # iterations, after which it shows which labels win nowhere


def marginals(
    image: np.ndarray,
    probabilities: np.ndarray,
    kernels: Sequence[Kernel],
    iterations: int,
    drop_below: float = 0.0,
) -> np.ndarray:
    """float32 C×H×W, of an image H×W×K and float32 probabilities C×H×W; at least one kernel.

    Args:
        drop_below: labels whose marginals after the first iteration nowhere reach this share of the
            largest take no part in the others.
    """
    rows, kept, wide = _infer(image, probabilities, kernels, iterations, drop_below)
    result = np.zeros(probabilities.shape, np.float32)
    read_rows(rows, result.reshape(len(result), -1), kept, len(wide) * LANES)
    return result


def labels(image, probabilities, kernels: Sequence[Kernel], iterations: int, drop_below=0.0) -> np.ndarray:
    """The most probable labels, int32 H×W; the first of several."""
    rows, kept, wide = _infer(image, probabilities, kernels, iterations, drop_below)
    result = np.empty(probabilities.shape[1:], np.int32)
    read_labels(rows, result.reshape(-1), kept, wide)
    return result


def _infer(image, probabilities, kernels, iterations, drop_below):
    """Rows of marginals, the labels that they are of, and how wide they are."""
    count, height, across = probabilities.shape
    kernels, ahead = order(kernels)
    _prepare(count, kernels, image.shape[2])
    field = make_field(image, kernels, ahead)
    kept, rows = np.arange(count), scratch("rows", np.float32, height * across * size(count))
    fill_rows(probabilities.reshape(count, -1), rows, size(count))
    if not (drop_below and iterations > SETTLED and count > LANES):
        return field.run(rows, rows, rows, kernels, iterations, width(count)), kept, width(count)
    now = scratch("marginals", np.float32, len(rows))
    field.run(rows, rows, now, kernels, SETTLED, width(count))
    reaching = np.flatnonzero(shares(now, width(count))[:count] >= drop_below)
    if size(len(reaching)) < size(count):
        kept, kernels = reaching, without_labels(kernels, reaching)
        _prepare(len(kept), kernels, image.shape[2])
        rows, now = (narrow(each, kept, size(count), size(len(kept))) for each in (rows, now))
    wide = width(len(kept))
    return field.run(rows, now, rows, kernels, iterations - SETTLED, wide), kept, wide


def _prepare(count: int, kernels: Sequence[Kernel], channels: int) -> None:
    """Compiles what is needed for that many labels."""

    def compile_all():
        few = np.full((count, 4, 4), 1 / count, np.float32)
        rows = scratch("rows", np.float32, 16 * size(count))
        fill_rows(few.reshape(count, -1), rows, size(count))
        field = make_field(np.zeros((4, 4, channels), np.float32), *order(kernels))
        field.run(rows, rows, rows, kernels, 1, width(count))
        kept = np.flatnonzero(shares(rows, width(count))[:count] > 0)
        read_rows(rows, few.reshape(count, -1), kept, size(count))
        read_labels(rows, np.empty(16, np.int32), kept, width(count))
        narrow(rows, kept, size(count), size(count))

    def elsewhere():  # a thread has its own memory, and this one's is in use
        with ThreadPoolExecutor(1) as pool:
            pool.submit(compile_all).result()

    kinds = sorted((len(kernel.deviations), kernel.potts) for kernel in kernels)
    what = f"the dense CRF for up to {size(count)} labels"
    CACHE.prepare(f"{len(width(count))} parts, kernels {kinds}", elsewhere, what)
