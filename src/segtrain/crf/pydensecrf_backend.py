"""The dense CRF by pydensecrf, the wrapper of the authors' C++: what the other backends are compared with."""

from collections.abc import Sequence

import numpy as np
from pydensecrf import densecrf

from segtrain.crf.inputs import check_probabilities
from segtrain.crf.potentials import SMALLEST_PROBABILITY, Kernel

NORMALIZATIONS = {
    "symmetric": densecrf.NORMALIZE_SYMMETRIC,
    "before": densecrf.NORMALIZE_BEFORE,
    "after": densecrf.NORMALIZE_AFTER,
    "none": densecrf.NO_NORMALIZATION,
}


class PydensecrfBackend:
    """The authors' code, called as pydensecrf's README does.

    Example:
        >>> PydensecrfBackend().labels(image, softmax, read_kernels(None, bilateral, 3, len(softmax)), 10)
    """

    def marginals(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """See `backends.Backend`."""
        check_probabilities(probabilities)
        classes, height, width = probabilities.shape
        field = densecrf.DenseCRF2D(width, height, classes)
        unary = -np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1.0))
        field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(classes, -1), dtype=np.float32))
        for kernel in kernels:
            field.addPairwiseEnergy(
                _features(image, kernel.stds),
                compat=kernel.compatibility,
                normalization=NORMALIZATIONS[kernel.normalization],
            )
        return np.asarray(field.inference(iterations), np.float32).reshape(classes, height, width)

    def labels(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """See `backends.Backend`; int64."""
        return self.marginals(image, probabilities, kernels, iterations).argmax(0)


def _features(image: np.ndarray, stds: tuple[float, ...]) -> np.ndarray:
    """float32 d×(H·W): the place, then where the kernel is bilateral the colours, over the stds."""
    height, width, channels = image.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    rows = [x.ravel(), y.ravel(), *image.reshape(-1, channels).T.astype(np.float32)]
    return np.stack([row / np.float32(s) for row, s in zip(rows, stds, strict=False)])
