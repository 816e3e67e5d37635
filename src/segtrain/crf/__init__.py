"""The fully connected conditional random field on top of a network's probabilities.

"Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", Krähenbühl and
Koltun, NIPS 2011, https://arxiv.org/abs/1210.5644.

Mean-field inference with a Gaussian kernel (nearby pixels agree) and a bilateral one (nearby
pixels of like colour agree), Potts compatibility, symmetric normalisation, by pydensecrf.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from segtrain.errors import InputError

Kernel = Mapping[str, float]
GAUSSIAN = {"sxy": 3, "compat": 3}
BILATERAL = {"sxy": 80, "srgb": 13, "compat": 10}
SMALLEST_PROBABILITY = 1e-5  # as in pydensecrf's unary_from_softmax


def dense_crf(
    image: np.ndarray,
    probabilities: np.ndarray,
    *,
    iterations: int = 10,
    gaussian: Kernel = GAUSSIAN,
    bilateral: Kernel = BILATERAL,
    backend: Literal["auto", "pydensecrf"] = "auto",
) -> np.ndarray:
    """Refined marginals, float32 C×H×W, that sum to 1 over C.

    Args:
        image: uint8 H×W×3, RGB.
        probabilities: float C×H×W, a softmax.
        iterations: of mean field.
        gaussian, bilateral: `sxy` in pixels and `srgb` in grey levels are standard deviations,
            `compat` the Potts weight.
        backend: `pydensecrf`; `auto` takes the best that is installed.

    Raises:
        InputError: shapes that do not match, a standard deviation that is not positive, or
            pydensecrf is not installed.
    """
    classes, height, width = probabilities.shape
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise InputError(
            f"dense_crf: the picture is {image.dtype} {image.shape}, the probabilities are"
            f" {probabilities.shape}",
            do="give uint8 H×W×3 and float C×H×W",
        )
    if backend not in ("auto", "pydensecrf"):
        raise InputError(f"dense_crf.backend={backend}", do="give auto or pydensecrf")
    densecrf = _pydensecrf()
    _check("gaussian", gaussian, {"sxy"})
    _check("bilateral", bilateral, {"sxy", "srgb"})
    field = densecrf.DenseCRF2D(width, height, classes)
    unary = -np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1.0))
    field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(classes, -1), dtype=np.float32))
    field.addPairwiseGaussian(**gaussian)
    field.addPairwiseBilateral(
        sxy=bilateral["sxy"],
        srgb=bilateral["srgb"],
        rgbim=np.array(image, order="C"),  # a copy: pydensecrf wants it writable
        compat=bilateral["compat"],
    )
    return np.asarray(field.inference(iterations), np.float32).reshape(classes, height, width)


def _check(name: str, kernel: Kernel, deviations: set[str]) -> None:
    expected = deviations | {"compat"}
    if set(kernel) != expected:
        raise InputError(f"dense_crf.{name} has the keys {sorted(kernel)}", do=f"give {sorted(expected)}")
    for key in deviations:
        if not kernel[key] > 0:
            raise InputError(f"dense_crf.{name}.{key}={kernel[key]}", do="give a number above 0")


def _pydensecrf():
    try:
        import pydensecrf.densecrf
    except ImportError as error:
        raise InputError(
            "crf=true needs pydensecrf, which is not installed",
            do="pip install pydensecrf2 (Python 3.10 to 3.12 and a C++ compiler)",
        ) from error
    return pydensecrf.densecrf
