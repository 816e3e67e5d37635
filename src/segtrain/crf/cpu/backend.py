"""The dense CRF on the CPU, compiled by numba: pydensecrf's marginals, many times as fast.

The compiled functions give up Python's lock: several threads can work on an image each.
"""

from collections.abc import Sequence

import numpy as np

from segtrain.crf.cpu.compile_cache import CACHE
from segtrain.crf.cpu.field import kept_memory, make_field, order, scratch
from segtrain.crf.cpu.rows import fill_rows, read_argmax, read_rows, size, width
from segtrain.crf.potentials import Kernel


def marginals(
    image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
) -> np.ndarray:
    """float32 C×H×W, of an image H×W×K and float32 probabilities C×H×W; at least one kernel."""
    _prepare(len(probabilities), kernels, image.shape[2])
    result = np.empty_like(probabilities)
    with kept_memory():
        rows = _infer(image, probabilities, kernels, iterations)
        read_rows(rows, result.reshape(len(result), -1), size(len(result)))
    return result


def labels(image, probabilities, kernels: Sequence[Kernel], iterations: int) -> np.ndarray:
    """The most probable labels, int32 H×W; the first of several."""
    _prepare(len(probabilities), kernels, image.shape[2])
    result = np.empty(probabilities.shape[1:], np.int32)
    with kept_memory():
        rows = _infer(image, probabilities, kernels, iterations)
        read_argmax(rows, result.reshape(-1), width(len(probabilities)))
    return result


def _infer(image, probabilities, kernels, iterations) -> np.ndarray:
    """Rows of marginals."""
    count, height, across = probabilities.shape
    rows, kernels = scratch("rows", np.float32, height * across * size(count)), order(kernels)
    fill_rows(probabilities.reshape(count, -1), rows, size(count))
    make_field(image, kernels, width(count)).run(rows, kernels, iterations)
    return rows


def _prepare(count: int, kernels: Sequence[Kernel], channels: int) -> None:
    """Compiles what is needed for that many labels."""

    def compile_all():
        few = np.full((count, 4, 4), 1 / count, np.float32)
        with kept_memory():
            rows = _infer(np.zeros((4, 4, channels), np.float32), few, kernels, 1)
            read_rows(rows, few.reshape(count, -1), size(count))
            read_argmax(rows, np.empty(16, np.int32), width(count))

    kinds = sorted((len(kernel.stds), kernel.potts) for kernel in kernels)
    what = f"the dense CRF for up to {size(count)} labels"
    CACHE.prepare(f"{len(width(count))} parts, kernels {kinds}", compile_all, what)
