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
        return len(self.stds) == 2

    @property
    def potts(self) -> bool:
        return isinstance(self.compatibility, float)


def read_kernels(
    gaussian: Parameters | Sequence[Parameters] | None,
    bilateral: Parameters | Sequence[Parameters] | None,
    channels: int,
    labels: int,
) -> list[Kernel]:
    """The kernels that have an effect. Raises InputError."""
    kernels = []
    wanted: list[tuple[str, Parameters | Sequence[Parameters] | None, list[str]]] = [
        ("gaussian", gaussian, ["sxy"]),
        ("bilateral", bilateral, ["sxy", "srgb"]),
    ]
    for name, given, stds in wanted:
        one = isinstance(given, Mapping)
        several = [given] if isinstance(given, Mapping) else given or ()
        for i, parameters in enumerate(several):
            where = f"dense_crf.{name}" + ("" if one else f"[{i}]")
            kernels.append(_read(where, parameters, stds, channels, labels))
    return [kernel for kernel in kernels if np.any(kernel.compatibility)]


def _read(where: str, parameters: Parameters, names: list[str], channels: int, labels: int) -> Kernel:
    if set(parameters) - {"normalization"} != {*names, "compat"}:
        raise InputError(
            f"{where} has the keys {sorted(parameters)}",
            do=f"give {sorted([*names, 'compat'])}, normalization",
        )
    counts = {"sxy": 2, "srgb": channels}
    stds = [d for name in names for d in _stds(f"{where}.{name}", parameters[name], counts[name])]
    normalization = parameters.get("normalization", NORMALIZATIONS[0])
    if normalization not in NORMALIZATIONS:
        raise InputError(f"{where}.normalization={normalization}", do=f"give {', '.join(NORMALIZATIONS)}")
    return Kernel(tuple(stds), _compatibility(where, parameters["compat"], labels), normalization)


def _stds(where: str, given: Any, count: int) -> list[float]:
    values = np.array(given, float).ravel().tolist() if _numbers(given) else []
    if len(values) == 1:
        values *= count
    if len(values) != count:
        raise InputError(f"{where}={given}", do=f"give a number or {count} of them")
    if not all(0 < value < np.inf for value in values):
        raise InputError(f"{where}={given}", do="give a number above 0")
    return values


def _compatibility(where: str, given: Any, labels: int) -> float | np.ndarray:
    values = np.array(given, np.float32) if _numbers(given) else np.full(3, np.nan, np.float32)
    if values.shape not in ((), (labels,), (labels, labels)) or not np.isfinite(values).all():
        raise InputError(
            f"{where}.compat={given}", do=f"give a number, {labels} or {labels}×{labels} of them"
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
    """The kernels over the labels `kept` alone."""
    chosen = []
    for kernel in kernels:
        matrix = kernel.compatibility
        if isinstance(matrix, np.ndarray):
            kernel = kernel._replace(compatibility=np.ascontiguousarray(matrix[kept][:, kept]))
        chosen.append(kernel)
    return chosen


def with_step(kernel: Kernel, step: int) -> Kernel:
    """The kernel for every so manyth row and column of an image."""
    x, y, *colours = kernel.stds
    return kernel._replace(stds=(x / step, y / step, *colours))
