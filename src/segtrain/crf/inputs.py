"""What `dense_crf` is given, checked: an image, probabilities, kernels, iterations."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from segtrain.crf.potentials import Kernel, read_kernels
from segtrain.errors import InputError

Parameters = Mapping[str, Any]
TOLERANCE = 0.01  # how far from 1 a pixel's sum may be: half precision leaves 0.001
BAND = 16  # rows of pixels that are checked at a time, so that they stay in the cache


class CrfTask(NamedTuple):
    """What is to be inferred.

    Attributes:
        image: integers or floats H×W×K.
        probabilities: float32 C×H×W.
        kernels: those that have an effect.
        iterations: of mean field, 0 or more.
    """

    image: np.ndarray
    probabilities: np.ndarray
    kernels: list[Kernel]
    iterations: int


def read_task(
    image: Any,
    probabilities: Any,
    gaussian: Parameters | Sequence[Parameters] | None,
    bilateral: Parameters | Sequence[Parameters] | None,
    iterations: int,
) -> CrfTask:
    """Reads what a user gives; the probabilities' values are checked by `check_probabilities`.

    Args:
        image: an array or a tensor, H×W or H×W×K.
        probabilities: an array or a tensor, C×H×W.
        gaussian: kernels of positions, as of `dense_crf`.
        bilateral: kernels of positions and colours.
        iterations: of mean field.

    Returns:
        The task; its probabilities are aligned, contiguous and can be written to.

    Raises:
        InputError: shapes that do not match, an image that is not finite, a kernel that does not fit.
    """
    image, probabilities = _array("image", image), _array("probabilities", probabilities)
    channels = image.shape[2:] or (1,)
    fits = probabilities.ndim == 3 and image.shape[:2] == probabilities.shape[1:] and len(channels) == 1
    if not fits or not probabilities.size:
        raise InputError(
            f"dense_crf: the image must be H×W or H×W×K beside probabilities C×H×W, got {image.shape}"
            f" beside {probabilities.shape}",
            do="put the classes first, and resize the one or the other",
        )
    if not np.isfinite(image).all():
        raise InputError("dense_crf: the image must be finite, got NaN or infinity", do="replace it")
    if not isinstance(iterations, int | np.integer) or isinstance(iterations, bool) or iterations < 0:
        what = f"dense_crf.iterations must be a whole number, 0 or more, got {iterations!r}"
        raise InputError(what, do="the papers take 5 or 10")
    # Writable, so that one kind of array is compiled for.
    probabilities = np.require(probabilities, np.float32, ["C", "W", "A"])
    kernels = read_kernels(gaussian, bilateral, channels[0], len(probabilities))
    return CrfTask(image.reshape(*image.shape[:2], *channels), probabilities, kernels, int(iterations))


def check_probabilities(probabilities: np.ndarray) -> None:
    """Refuses what is no softmax: logits, energies, bytes, NaN.

    Args:
        probabilities: float32 C×H×W.

    Raises:
        InputError: a value below 0, or a pixel whose values do not sum to 1.
    """
    for y in range(0, probabilities.shape[1], BAND):
        band = probabilities[:, y : y + BAND]
        total = band.sum(0)
        wrong = ~(np.abs(total - 1) <= TOLERANCE) | (band.min(0) < 0)
        if wrong.any():
            row, x = (int(i[0]) for i in np.nonzero(wrong))
            raise not_probabilities(probabilities[:, y + row, x], y + row, x)


def not_probabilities(values: np.ndarray, y: int, x: int) -> InputError:
    """The error for a pixel whose values are no probabilities.

    Args:
        values: float32 C, of that pixel.
        y: its row.
        x: its column.
    """
    return InputError(
        "dense_crf: the probabilities must be from 0 to 1 and sum to 1 at every pixel, got"
        f" {values.min():g} to {values.max():g}, {values.sum():g} in sum, at row {y}, column {x}",
        do="give the softmax of the logits, finite and over the classes",
    )


def _array(name: str, given: Any) -> np.ndarray:
    """The numbers of an array, or of a tensor on any device."""
    try:
        if hasattr(given, "detach"):  # a tensor; torch is not imported for its sake
            given = given.detach().cpu()
            given = given.float() if given.is_floating_point() else given
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError):
        array = np.asarray(None)
    if array.dtype.kind not in "uif":
        raise InputError(
            f"dense_crf: the {name} must be an array of numbers, got {type(given).__name__} of {array.dtype}",
            do="give an array of integers or floats",
        )
    return array
