"""The fully connected conditional random field on top of a network's probabilities.

"Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", Krähenbühl and
Koltun, NIPS 2011, https://arxiv.org/abs/1210.5644.

Mean-field inference with Gaussian kernels (nearby pixels agree) and bilateral ones (nearby pixels of
like colour agree). Three backends give the same marginals: numba (the CPU, any number of threads),
torch (the GPU, and gradients) and pydensecrf (the authors' C++, to compare with). As in their code,
and other than in the paper, the filter contains the pixel itself.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from segtrain.crf.potentials import SMALLEST_PROBABILITY, Kernel, read_kernels, with_step, without_labels
from segtrain.errors import InputError

Parameters = Mapping[str, Any]
Backend = Literal["auto", "numba", "torch", "pydensecrf"]
GAUSSIAN = {"sxy": 3, "compat": 3}
BILATERAL = {"sxy": 80, "srgb": 13, "compat": 10}
ROWS = 8  # of pixels that are looked at a time
ASKED = 10_000  # pixels show which labels are to be dropped,
STEP = 4  # but at least every fourth of a row and of a column
NEEDS = {
    "numba": "pip install numba",
    "pydensecrf": "pip install pydensecrf2 (Python 3.10 to 3.12 and a C++ compiler)",
}


BACKENDS = {
    "numba": "segtrain.crf.cpu.backend",
    "torch": "segtrain.crf.torch_backend.backend",
    "pydensecrf": "segtrain.crf.pydensecrf_backend",
}


class _Task(NamedTuple):
    """What is to be inferred, checked: an image H×W×K and probabilities C×H×W."""

    image: np.ndarray
    probabilities: np.ndarray
    kernels: list[Kernel]
    iterations: int


def dense_crf(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Parameters | Sequence[Parameters] | None = GAUSSIAN,
    bilateral: Parameters | Sequence[Parameters] | None = BILATERAL,
    drop_below: float = 0.1,
    backend: Backend = "auto",
) -> np.ndarray:
    """Refined marginals, float32 C×H×W, that sum to 1 over C.

    Several threads can call it at once: numba and torch give up Python's lock.

    Args:
        image: H×W×3, RGB in 0..255; or H×W, or of any number of channels, of any kind of number.
        probabilities: float C×H×W, a softmax.
        iterations: of mean field.
        gaussian, bilateral: one kernel, several, or none. `sxy` in pixels and `srgb` in grey levels
            are stds (one number, or one an axis: x, y; one a channel). `compat` is the
            Potts weight; or, with pydensecrf's signs, C or C×C numbers: the diagonal or the whole of a
            matrix of costs. `normalization` is symmetric (also if not given), before, after or none.
        drop_below: labels that after one iteration, when noise has gone, nowhere have this share of the
            largest marginal take no part; their marginals are 0. In images of more than 40,000 pixels every
            second, third or fourth row and column is asked. On the images tried, 0.1 leaves at least
            99.994 % of the labels as they are, and what is left takes as much less time as there are fewer
            labels; 0 drops none.
        backend: `auto` takes torch where it has a GPU, else numba, or where that is not installed
            pydensecrf.

    Raises:
        InputError: shapes that do not match, a std that is not positive, a kernel's
            keys, or a backend that is not installed.
    """
    engine, task = _backend(backend), _task(image, probabilities, gaussian, bilateral, iterations)
    kept = _kept(engine, task, drop_below)
    refined = _marginals(engine, _restricted(task, kept))
    if len(kept) == len(probabilities):
        return refined
    every = np.zeros(probabilities.shape, np.float32)
    every[kept] = refined
    return every


def dense_crf_labels(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Parameters | Sequence[Parameters] | None = GAUSSIAN,
    bilateral: Parameters | Sequence[Parameters] | None = BILATERAL,
    drop_below: float = 0.1,
    backend: Backend = "auto",
) -> np.ndarray:
    """The label of the largest marginal at each pixel, int64 H×W: `dense_crf(...).argmax(0)`.

    The numba backend gives it without the marginals, which saves a sixth of the time.
    """
    engine, task = _backend(backend), _task(image, probabilities, gaussian, bilateral, iterations)
    kept = _kept(engine, task, drop_below)
    task = _restricted(task, kept)
    if task.kernels and hasattr(engine, "labels"):
        return kept[engine.labels(*task)]
    return kept[_marginals(engine, task).argmax(0)]


def _marginals(engine: ModuleType, task: _Task) -> np.ndarray:
    if task.kernels:
        return engine.marginals(*task)
    clipped = task.probabilities.clip(SMALLEST_PROBABILITY, 1)
    return clipped / clipped.sum(0)


def _kept(engine: ModuleType, task: _Task, drop_below: float) -> np.ndarray:
    """The labels that are not dropped."""
    if not 0 <= drop_below < 1:
        raise InputError(f"dense_crf.drop_below={drop_below}", do="give 0, or a share below 1")
    if drop_below == 0:
        return np.arange(len(task.probabilities))
    step = max(1, min(STEP, math.isqrt(task.probabilities[0].size // ASKED)))
    few = task._replace(
        image=task.image[::step, ::step],
        probabilities=task.probabilities[:, ::step, ::step].copy(),
        kernels=[with_step(kernel, step) for kernel in task.kernels],
        iterations=min(task.iterations, 1),
    )
    kept = labels_above(_marginals(engine, few), drop_below)
    if not len(kept):
        raise InputError("dense_crf: the probabilities are not numbers", do="give a softmax's")
    return kept


def _restricted(task: _Task, kept: np.ndarray) -> _Task:
    """The task for those labels alone."""
    if len(kept) == len(task.probabilities):
        return task
    return task._replace(probabilities=task.probabilities[kept], kernels=without_labels(task.kernels, kept))


def _task(image, probabilities, gaussian, bilateral, iterations) -> _Task:
    labels, *size = probabilities.shape
    channels = image.shape[2:] or (1,)
    fits = image.shape[:2] == tuple(size) and len(channels) == 1 and image.dtype.kind in "uif"
    if not fits or not np.isfinite(image).all():
        raise InputError(
            f"dense_crf: the image is {image.dtype} {image.shape}, the probabilities are"
            f" {probabilities.shape}",
            do="give H×W×3 and float C×H×W",
        )
    if iterations < 0:
        raise InputError(f"dense_crf.iterations={iterations}", do="give 0 or more")
    # Writable, so that one kind of array is compiled for.
    probabilities = np.require(probabilities, np.float32, ["C", "W", "A"])
    kernels = read_kernels(gaussian, bilateral, channels[0], labels)
    return _Task(image.reshape(*size, *channels), probabilities, kernels, iterations)


def labels_above(probabilities: np.ndarray, share: float) -> np.ndarray:
    """The labels that somewhere have that share of the most probable one's probability; all where it is 0.

    Args:
        probabilities: float C×H×W.
    """
    kept = np.full(len(probabilities), share == 0)
    for y in range(0, 0 if share == 0 else probabilities.shape[1], ROWS):  # they stay in the cache
        strip = probabilities[:, y : y + ROWS]
        kept |= (strip >= share * strip.max(0).clip(SMALLEST_PROBABILITY)).any((1, 2))
    return np.flatnonzero(kept)


def _backend(name: str) -> ModuleType:
    if name != "auto" and name not in BACKENDS:
        raise InputError(f"dense_crf.backend={name}", do="give auto, numba, torch or pydensecrf")
    for choice in _by_itself() if name == "auto" else (name,):
        try:
            return importlib.import_module(BACKENDS[choice])
        except ImportError as error:
            failed = error
    needed = "numba" if name == "auto" else name
    raise InputError(
        f"crf=true needs {needed}, which does not import ({failed})", do=NEEDS[needed]
    ) from failed


def _by_itself() -> tuple[str, ...]:
    import torch  # it takes seconds, and another backend may be wanted

    return ("torch",) if torch.cuda.is_available() else ("numba", "pydensecrf")
