"""The fully connected conditional random field on top of a network's probabilities.

"Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", Krähenbühl and
Koltun, NIPS 2011, https://arxiv.org/abs/1210.5644.

Mean-field inference with Gaussian kernels (nearby pixels agree) and bilateral ones (nearby pixels of
like colour agree). Three backends give the same marginals: numba (the CPU, any number of threads; see
`cpu/README.md`), torch (the GPU, and gradients) and pydensecrf (the authors' C++, to compare with). As
in their code, and unlike the paper, the filter contains the pixel itself.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np

from segtrain.crf.potentials import SMALLEST_PROBABILITY, Kernel, read_kernels, with_step, without_labels
from segtrain.errors import InputError, how_to_install

Parameters = Mapping[str, Any]
BackendName = Literal["auto", "numba", "torch", "pydensecrf"]
GAUSSIAN = {"sxy": 3, "compat": 3}
BILATERAL = {"sxy": 80, "srgb": 13, "compat": 10}
STRIP = 8  # rows of pixels that are searched at a time, so that they stay in the cache
SAMPLES = 10_000  # pixels that decide which labels are dropped,
LARGEST_STEP = 4  # but at least every fourth row and column
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
    backend: BackendName = "auto",
) -> np.ndarray:
    """Refines a softmax by the dense CRF.

    Several threads can call it at once: numba and torch release Python's lock.

    Args:
        image: H×W×3, RGB in 0..255; or H×W, or any number of channels; integers or floats.
        probabilities: float C×H×W, a softmax.
        iterations: of mean field.
        gaussian: one kernel of positions, several, or none. `sxy` is its std in pixels (one number, or
            x and y). `compat` is the Potts weight; or, with pydensecrf's signs, C or C×C numbers: the
            diagonal or the whole of a matrix of costs. `normalization` is symmetric (the default),
            before, after or none.
        bilateral: likewise, of positions and colours; `srgb` is the std of colours in grey levels (one
            number, or one a channel).
        drop_below: after one iteration, labels whose marginal is nowhere this share of the largest are
            dropped: they take no part, and their marginals are 0. Images of more than 40,000 pixels are
            sampled at every second, third or fourth row and column. 0 drops none. With 0.1, at least
            99.994 % of the labels were unchanged on the images tried.
        backend: `auto` is torch if it has a GPU, else numba, else pydensecrf.

    Returns:
        Marginals, float32 C×H×W, that sum to 1 over C.

    Raises:
        InputError: shapes that do not match, a std that is not positive, unknown keys of a kernel, or a
            backend that is not installed.

    Example:
        >>> softmax = model(images)["out"].softmax(1)[0].numpy()
        >>> marginals = segtrain.crf.dense_crf(image, softmax, bilateral={"sxy": 49, "srgb": 5, "compat": 4})
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
    backend: BackendName = "auto",
) -> np.ndarray:
    """`dense_crf(...).argmax(0)`; with numba in five sixths of the time, as marginals are not written.

    Args:
        image: as of `dense_crf`, like all others.
        probabilities: float C×H×W, a softmax.
        iterations: of mean field.
        gaussian: kernels of positions.
        bilateral: kernels of positions and colours.
        drop_below: labels that are nowhere this share of the largest are dropped.
        backend: `auto`, `numba`, `torch` or `pydensecrf`.

    Returns:
        The class index of the largest marginal at each pixel, int64 H×W.

    Raises:
        InputError: as `dense_crf`.

    Example:
        >>> labels = segtrain.crf.dense_crf_labels(image, softmax)
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
        raise InputError(
            f"dense_crf.drop_below must be at least 0 and below 1, got {drop_below}", do="0 drops no label"
        )
    if drop_below == 0:
        return np.arange(len(task.probabilities))
    step = max(1, min(LARGEST_STEP, math.isqrt(task.probabilities[0].size // SAMPLES)))
    few = task._replace(
        image=task.image[::step, ::step],
        probabilities=task.probabilities[:, ::step, ::step].copy(),
        kernels=[with_step(kernel, step) for kernel in task.kernels],
        iterations=min(task.iterations, 1),
    )
    kept = labels_above(_marginals(engine, few), drop_below)
    if not len(kept):
        raise InputError("dense_crf: the probabilities must be finite, got NaN", do="give a softmax")
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
            "dense_crf: the image must be finite numbers H×W×3 for probabilities C×H×W, got"
            f" {image.dtype} {image.shape} for {probabilities.shape}",
            do="resize the one or the other, and remove NaN",
        )
    if iterations < 0:
        raise InputError(
            f"dense_crf.iterations must be 0 or more, got {iterations}", do="the papers take 5 or 10"
        )
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
    for y in range(0, 0 if share == 0 else probabilities.shape[1], STRIP):
        strip = probabilities[:, y : y + STRIP]
        kept |= (strip >= share * strip.max(0).clip(SMALLEST_PROBABILITY)).any((1, 2))
    return np.flatnonzero(kept)


def _backend(name: str) -> ModuleType:
    if name != "auto" and name not in BACKENDS:
        raise InputError(
            f"dense_crf.backend must be auto, numba, torch or pydensecrf, got {name!r}",
            do="auto takes what is installed",
        )
    for choice in _by_itself() if name == "auto" else (name,):
        try:
            return importlib.import_module(BACKENDS[choice])
        except ImportError as error:
            failed = error
    needed = "numba" if name == "auto" else name
    command = how_to_install("pydensecrf") if needed == "pydensecrf" else f"do: pip install {needed}"
    raise InputError(f"crf=true needs {needed}, which does not import ({failed})", do=command) from failed


def _by_itself() -> tuple[str, ...]:
    import torch  # it takes seconds, and another backend may be wanted

    return ("torch",) if torch.cuda.is_available() else ("numba", "pydensecrf")
