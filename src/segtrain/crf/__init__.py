"""The fully connected conditional random field on top of a network's probabilities.

"Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", Krähenbühl and
Koltun, NIPS 2011, https://arxiv.org/abs/1210.5644.

Mean-field inference with Gaussian kernels (nearby pixels agree) and bilateral ones (nearby pixels of
like colour agree). Three backends give the same marginals: numba (the CPU, any number of threads; see
`cpu/README.md`), torch (the GPU, and gradients) and pydensecrf (the authors' C++, to compare with). As
in their code, and unlike the paper, the filter contains the pixel itself.
"""

from collections.abc import Sequence

import numpy as np

from segtrain.crf.backends import Backend, BackendName, load_backend
from segtrain.crf.inputs import BAND, CrfTask, Parameters, check_probabilities, read_task
from segtrain.crf.potentials import SMALLEST_PROBABILITY, without_labels
from segtrain.errors import InputError

GAUSSIAN = {"sxy": 3, "compat": 3}
BILATERAL = {"sxy": 80, "srgb": 13, "compat": 10}


def dense_crf(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Parameters | Sequence[Parameters] | None = GAUSSIAN,
    bilateral: Parameters | Sequence[Parameters] | None = BILATERAL,
    drop_below: float = 0,
    backend: BackendName = "auto",
) -> np.ndarray:
    """Refines a softmax by the dense CRF.

    Several threads can call it at once: numba and torch release Python's lock.

    Args:
        image: H×W×3, RGB in 0..255; or H×W, or any number of channels; integers or floats. A tensor
            will do, here and below.
        probabilities: float C×H×W, a softmax.
        iterations: of mean field.
        gaussian: one kernel of positions, several, or none. `sxy` is its std in pixels (one number, or
            x and y). `compat` is the Potts weight; or, with pydensecrf's signs, C or C×C numbers: the
            diagonal or the whole of a matrix of costs. `normalization` is symmetric (the default),
            before, after or none.
        bilateral: likewise, of positions and colours; `srgb` is the std of colours in grey levels (one
            number, or one a channel).
        drop_below: 0 keeps every label. Above it, an approximation that is faster where few classes are
            in the image: labels whose probability is at no pixel this share of the largest take no part,
            and their marginals are 0.
        backend: `auto` is torch if it has a GPU, else numba, else pydensecrf.

    Returns:
        Marginals, float32 C×H×W, that sum to 1 over C.

    Raises:
        InputError: shapes that do not match, probabilities that are none, a std that is not positive,
            unknown keys of a kernel, or a backend that is not installed.

    Example:
        >>> softmax = model(images)["out"].softmax(1)[0].numpy()
        >>> marginals = segtrain.crf.dense_crf(image, softmax, bilateral={"sxy": 49, "srgb": 5, "compat": 4})
    """
    engine = load_backend(backend)
    task = read_task(image, probabilities, gaussian, bilateral, iterations)
    kept = _kept(task, drop_below)
    refined = _marginals(engine, _restricted(task, kept))
    if len(kept) == len(task.probabilities):
        return refined
    every = np.zeros(task.probabilities.shape, np.float32)
    every[kept] = refined
    return every


def dense_crf_labels(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Parameters | Sequence[Parameters] | None = GAUSSIAN,
    bilateral: Parameters | Sequence[Parameters] | None = BILATERAL,
    drop_below: float = 0,
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
    engine = load_backend(backend)
    task = read_task(image, probabilities, gaussian, bilateral, iterations)
    kept = _kept(task, drop_below)
    task = _restricted(task, kept)
    return kept[engine.labels(*task) if task.kernels else _marginals(engine, task).argmax(0)]


def _marginals(engine: Backend, task: CrfTask) -> np.ndarray:
    if task.kernels:
        return engine.marginals(*task)
    check_probabilities(task.probabilities)
    clipped = task.probabilities.clip(SMALLEST_PROBABILITY, 1)
    return clipped / clipped.sum(0)


def _kept(task: CrfTask, drop_below: float) -> np.ndarray:
    """The labels that are not dropped: by default all. `cpu/README.md` says what dropping saves (at a share
    of 0.1 up to a third of the time, often nothing), and why none can be dropped exactly."""
    if not isinstance(drop_below, int | float | np.number) or not 0 <= drop_below < 1:
        raise InputError(
            f"dense_crf.drop_below must be at least 0 and below 1, got {drop_below}", do="0 drops no label"
        )
    if drop_below > 0:
        check_probabilities(task.probabilities)
    return labels_above(task.probabilities, drop_below)


def _restricted(task: CrfTask, kept: np.ndarray) -> CrfTask:
    """The task for those labels alone."""
    if len(kept) == len(task.probabilities):
        return task
    few = task.probabilities[kept]
    return task._replace(probabilities=few / few.sum(0), kernels=without_labels(task.kernels, kept))


def labels_above(probabilities: np.ndarray, share: float) -> np.ndarray:
    """The labels that at some pixel have that share of the most probable one's probability.

    Every pixel is looked at, so that an object of a single one keeps its label.

    Args:
        probabilities: float C×H×W.
        share: from 0, where all labels are given, to 1.

    Returns:
        Class indices, ascending, int64.
    """
    kept = np.full(len(probabilities), share == 0)
    for y in range(0, 0 if share == 0 else probabilities.shape[1], BAND):
        band = probabilities[:, y : y + BAND]
        kept |= (band >= share * band.max(0).clip(SMALLEST_PROBABILITY)).any((1, 2))
    return np.flatnonzero(kept)
