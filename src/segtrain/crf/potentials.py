"""The pairwise potentials of a field, read from what the user gives.

A kernel is a Gaussian over features: the pixel's place, and for a bilateral one its colours. Names and
signs are pydensecrf's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from segtrain.errors import InputError

SMALLEST_PROBABILITY = 1e-5  # as in pydensecrf's unary_from_softmax
NORMALIZATIONS = ("symmetric", "before", "after", "none")
Parameters = Mapping[str, Any]


class Kernel(NamedTuple):
    """One kernel.

    Attributes:
        stds: of x, of y and, for a bilateral kernel, of each channel.
        compatibility: the weight with which like labels attract each other (Potts); or a symmetric
            matrix, float32 C×C: how much a label at one pixel costs beside a label at another.
        normalization: with n the filter of an image of ones, `before` divides its input by n, `after`
            its output, `symmetric` both by √n.
    """

    stds: tuple[float, ...]
    compatibility: float | np.ndarray
    normalization: str

    @property
    def spatial(self) -> bool:
        """Whether it looks at positions alone."""
        return len(self.stds) == 2

    @property
    def potts(self) -> bool:
        """Whether its compatibility is one weight."""
        return isinstance(self.compatibility, float)


def read_kernels(
    gaussian: Parameters | Sequence[Parameters] | None,
    bilateral: Parameters | Sequence[Parameters] | None,
    channels: int,
    labels: int,
) -> list[Kernel]:
    """Reads kernels as `dense_crf` takes them.

    Args:
        gaussian: one kernel of positions, several, or none.
        bilateral: one kernel of positions and colours, several, or none.
        channels: of the images.
        labels: C.

    Returns:
        Those that have an effect: a weight of 0 leaves one out.

    Raises:
        InputError: unknown or missing keys, a std that is not above 0, a weight that is not finite.

    Example:
        >>> read_kernels({"sxy": 3, "compat": 3}, None, channels=3, labels=21)
        [Kernel(stds=(3.0, 3.0), compatibility=3.0, normalization='symmetric')]
    """
    kernels = []
    for name, given, stds in (("gaussian", gaussian, ["sxy"]), ("bilateral", bilateral, ["sxy", "srgb"])):
        for where, parameters in _each(f"dense_crf.{name}", given, stds):
            kernels.append(_read(where, parameters, stds, channels, labels))
    return [kernel for kernel in kernels if np.any(kernel.compatibility)]


def _each(
    key: str, given: Parameters | Sequence[Parameters] | None, names: list[str]
) -> list[tuple[str, Parameters]]:
    """The kernels of one option, each with the key that messages name it by."""
    if isinstance(given, Mapping):
        return [(key, given)]
    several = given or ()
    if not isinstance(several, Sequence) or not all(isinstance(item, Mapping) for item in several):
        raise InputError(
            f"{key} must be a kernel, a list of kernels or null, got {given!r}", do=f"give {_example(names)}"
        )
    return [(f"{key}[{i}]", parameters) for i, parameters in enumerate(several)]


def _example(names: list[str]) -> str:
    values = {"sxy": "sxy: 3", "srgb": "srgb: 5", "compat": "compat: 3"}
    return "{" + ", ".join(values[name] for name in [*names, "compat"]) + "}"


def _read(where: str, parameters: Parameters, names: list[str], channels: int, labels: int) -> Kernel:
    if set(parameters) - {"normalization"} != {*names, "compat"}:
        raise InputError(
            f"{where} must have the keys {', '.join([*names, 'compat'])} and may have normalization,"
            f" got {', '.join(map(str, parameters)) or 'none'}",
            do=f"give {_example(names)}",
        )
    counts = {"sxy": 2, "srgb": channels}
    stds = [d for name in names for d in _stds(f"{where}.{name}", parameters[name], counts[name])]
    normalization = parameters.get("normalization", NORMALIZATIONS[0])
    if normalization not in NORMALIZATIONS:
        raise InputError(
            f"{where}.normalization must be symmetric, before, after or none, got {normalization!r}",
            do="symmetric is pydensecrf's, after DeepLab's and CRF-RNN's",
        )
    return Kernel(tuple(stds), _compatibility(where, parameters["compat"], labels), normalization)


def _stds(where: str, given: Any, count: int) -> list[float]:
    values = np.array(given, float).ravel().tolist() if _numbers(given) else []
    if len(values) == 1:
        values *= count
    if len(values) != count or not all(0 < value < np.inf for value in values):
        several = f", or {count} of them" if count > 1 else ""
        unit = "grey levels" if where.endswith("srgb") else "pixels"
        raise InputError(
            f"{where} must be a finite number above 0{several}, got {given!r}",
            do=f"give a std in {unit}, or leave the kernel out by null",
        )
    return values


def _compatibility(where: str, given: Any, labels: int) -> float | np.ndarray:
    values = np.array(given, np.float32) if _numbers(given) else np.full(3, np.nan, np.float32)
    if values.shape not in ((), (labels,), (labels, labels)) or not np.isfinite(values).all():
        raise InputError(
            f"{where}.compat must be a finite number, {labels} or {labels}×{labels} of them, got {given!r}",
            do="give a Potts weight, as 3",
        )
    if values.ndim == 0:
        return float(values)
    matrix = np.diag(values) if values.ndim == 1 else values
    return (matrix + matrix.T) / 2


def _numbers(given: Any) -> bool:
    try:
        return np.array(given).dtype.kind in "iuf"
    except ValueError:  # lists of several lengths
        return False


def without_labels(kernels: list[Kernel], kept: np.ndarray) -> list[Kernel]:
    """The kernels over some labels alone.

    Args:
        kernels: over all labels.
        kept: class indices, integers.

    Returns:
        The same kernels; matrices have the rows and columns of those labels.
    """
    chosen = []
    for kernel in kernels:
        matrix = kernel.compatibility
        if isinstance(matrix, np.ndarray):
            kernel = kernel._replace(compatibility=np.ascontiguousarray(matrix[kept][:, kept]))
        chosen.append(kernel)
    return chosen
