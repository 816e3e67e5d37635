"""The fully connected conditional random field on top of a network's probabilities.

"Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", Krähenbühl and
Koltun, NIPS 2011, https://arxiv.org/abs/1210.5644.

Mean-field inference with Gaussian kernels (nearby pixels agree) and bilateral ones (nearby pixels of
like colour agree). Three backends give the same marginals: numba (the CPU, any number of threads),
torch (the GPU, and gradients) and pydensecrf (the authors' C++, to compare with). As in their code,
and other than in the paper, the filter contains the pixel itself.
"""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from segtrain.crf.potentials import Kernel, read_kernels, without_labels
from segtrain.errors import InputError

Parameters = Mapping[str, Any]
Backend = Literal["auto", "numba", "torch", "pydensecrf"]
GAUSSIAN = {"sxy": 3, "compat": 3}
BILATERAL = {"sxy": 80, "srgb": 13, "compat": 10}
SMALLEST_PROBABILITY = 1e-5  # as in pydensecrf's unary_from_softmax
ROWS = 8  # of pixels that are looked at a time
NEEDS = {
    "numba": "pip install numba",
    "pydensecrf": "pip install pydensecrf2 (Python 3.10 to 3.12 and a C++ compiler)",
}


class _Task(NamedTuple):
    """What is to be inferred, checked: an image H×W×K, probabilities of the labels `kept`."""

    image: np.ndarray
    probabilities: np.ndarray
    kernels: list[Kernel]
    iterations: int
    drop_below: float
    kept: np.ndarray


def dense_crf(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Parameters | Sequence[Parameters] | None = GAUSSIAN,
    bilateral: Parameters | Sequence[Parameters] | None = BILATERAL,
    drop_below: float = 0.2,
    backend: Backend = "auto",
) -> np.ndarray:
    """Refined marginals, float32 C×H×W, that sum to 1 over C.

    Several threads can call it at once: numba and torch give up Python's lock.

    Args:
        image: H×W×3, RGB in 0..255; or H×W, or of any number of channels, of any kind of number.
        probabilities: float C×H×W, a softmax.
        iterations: of mean field.
        gaussian, bilateral: one kernel, several, or none. `sxy` in pixels and `srgb` in grey levels
            are standard deviations (one number, or one an axis: x, y; one a channel). `compat` is the
            Potts weight; or, with pydensecrf's signs, C or C×C numbers: the diagonal or the whole of a
            matrix of costs. `normalization` is symmetric (also if not given), before, after or none.
        drop_below: labels that nowhere reach this share of the most probable one's probability take no
            part; their marginals are 0. numba asks again after the first iteration, when noise has gone.
            On the pictures tried, 0.2 leaves 99.997 % of the labels as they are, and what is left takes
            as much less time as there are fewer labels; 0 drops none. 0.5 drops more, but of an unsure
            network's labels it left only 99.87 %.
        backend: `auto` takes torch where it has a GPU, else numba, or where that is not installed
            pydensecrf.

    Raises:
        InputError: shapes that do not match, a standard deviation that is not positive, a kernel's
            keys, or a backend that is not installed.
    """
    engine, task = _backend(backend), _task(image, probabilities, gaussian, bilateral, drop_below, iterations)
    refined = _marginals(engine, task)
    if len(task.kept) == len(probabilities):
        return refined
    every = np.zeros(probabilities.shape, np.float32)
    every[task.kept] = refined
    return every


def dense_crf_labels(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Parameters | Sequence[Parameters] | None = GAUSSIAN,
    bilateral: Parameters | Sequence[Parameters] | None = BILATERAL,
    drop_below: float = 0.2,
    backend: Backend = "auto",
) -> np.ndarray:
    """The label of the largest marginal at each pixel, int64 H×W: `dense_crf(...).argmax(0)`.

    The numba backend gives it without the marginals, which saves a sixth of the time.
    """
    engine, task = _backend(backend), _task(image, probabilities, gaussian, bilateral, drop_below, iterations)
    if task.kernels and hasattr(engine, "labels"):
        return task.kept[engine.labels(*task[:-1])]
    return task.kept[_marginals(engine, task).argmax(0)]


def _marginals(engine: ModuleType, task: _Task) -> np.ndarray:
    if task.kernels:
        return engine.marginals(*task[:-1])
    clipped = task.probabilities.clip(SMALLEST_PROBABILITY, 1)
    return clipped / clipped.sum(0)


def _task(image, probabilities, gaussian, bilateral, drop_below, iterations) -> _Task:
    labels, *size = probabilities.shape
    channels = image.shape[2:] or (1,)
    fits = image.shape[:2] == tuple(size) and len(channels) == 1 and image.dtype.kind in "uif"
    if not fits or not np.isfinite(image).all():
        raise InputError(
            f"dense_crf: the picture is {image.dtype} {image.shape}, the probabilities are"
            f" {probabilities.shape}",
            do="give H×W×3 and float C×H×W",
        )
    if iterations < 0:
        raise InputError(f"dense_crf.iterations={iterations}", do="give 0 or more")
    if not 0 <= drop_below < 1:
        raise InputError(f"dense_crf.drop_below={drop_below}", do="give 0, or a share below 1")
    kernels = read_kernels(gaussian, bilateral, channels[0], labels)
    kept = reaching_labels(probabilities, drop_below)
    if not len(kept):
        raise InputError("dense_crf: the probabilities are not numbers", do="give a softmax's")
    if len(kept) < labels:
        probabilities, kernels = probabilities[kept], without_labels(kernels, kept)
    # Writable, so that one kind of array is compiled for.
    probabilities = np.require(probabilities, np.float32, ["C", "W", "A"])
    image = image.reshape(*size, *channels)
    return _Task(image, probabilities, kernels, iterations, drop_below, kept)


def reaching_labels(probabilities: np.ndarray, share: float) -> np.ndarray:
    """The labels that somewhere reach that share of the most probable one's probability; all where it is 0.

    Args:
        probabilities: float C×H×W.
    """
    reach = np.full(len(probabilities), share == 0)
    for y in range(0, 0 if share == 0 else probabilities.shape[1], ROWS):  # they stay in the cache
        strip = probabilities[:, y : y + ROWS]
        reach |= (strip >= share * strip.max(0).clip(SMALLEST_PROBABILITY)).any((1, 2))
    return np.flatnonzero(reach)


def _backend(name: str) -> ModuleType:
    if name not in ("auto", "numba", "torch", "pydensecrf"):
        raise InputError(f"dense_crf.backend={name}", do="give auto, numba, torch or pydensecrf")
    for choice in _by_itself() if name == "auto" else (name,):
        try:
            return importlib.import_module(f"segtrain.crf.{choice}_backend")
        except ImportError as error:
            failed = error
    needed = "numba" if name == "auto" else name
    raise InputError(
        f"crf=true needs {needed}, which does not import ({failed})", do=NEEDS[needed]
    ) from failed


def _by_itself() -> tuple[str, ...]:
    import torch  # it takes seconds, and another backend may be wanted

    return ("torch",) if torch.cuda.is_available() else ("numba", "pydensecrf")
