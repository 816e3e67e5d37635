"""The dense CRF on the CPU, compiled by numba: pydensecrf's marginals, many times as fast.

The compiled functions give up Python's lock: several threads can work on an image each.
"""

from collections.abc import Sequence

import numpy as np

from segtrain.crf.cpu.compile_cache import CACHE
from segtrain.crf.cpu.field import kept_memory, make_field, order, scratch
from segtrain.crf.cpu.rows import fill_rows, read_argmax, read_rows, size, width
from segtrain.crf.inputs import TOLERANCE, not_probabilities
from segtrain.crf.potentials import Kernel


class NumbaBackend:
    """The CPU's backend, see `README.md` beside it.

    The first call for a number of labels and kinds of kernels compiles, once on a machine, and says so.

    Example:
        >>> NumbaBackend().marginals(image, softmax, read_kernels(gaussian, None, 3, len(softmax)), 10)
    """

    def marginals(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """See `backends.Backend`."""
        _prepare(len(probabilities), kernels, image.shape[2])
        result = np.empty_like(probabilities)
        with kept_memory():
            rows = _infer(image, probabilities, kernels, iterations)
            read_rows(rows, result.reshape(len(result), -1), size(len(result)))
        return result

    def labels(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """See `backends.Backend`; int32."""
        _prepare(len(probabilities), kernels, image.shape[2])
        result = np.empty(probabilities.shape[1:], np.int32)
        with kept_memory():
            rows = _infer(image, probabilities, kernels, iterations)
            read_argmax(rows, result.reshape(-1), width(len(probabilities)))
        return result


def _infer(
    image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
) -> np.ndarray:
    """Rows of marginals, float32 N·S; raises InputError."""
    count, height, across = probabilities.shape
    rows, kernels = scratch("rows", np.float32, height * across * size(count)), order(kernels)
    columns = probabilities.reshape(count, -1)
    wrong = fill_rows(columns, rows, size(count), np.float32(TOLERANCE))
    if wrong >= 0:
        raise not_probabilities(columns[:, wrong], wrong // across, wrong % across)
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
    dimensions = " and ".join(f"{stds}{'' if potts else ' (with a matrix)'}" for stds, potts in kinds)
    what = f"the dense CRF for up to {size(count)} labels and kernels of {dimensions} dimensions"
    CACHE.prepare(f"{len(width(count))} parts, kernels {kinds}", compile_all, what)
