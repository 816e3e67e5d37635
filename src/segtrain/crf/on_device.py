"""The dense CRF for an evaluation on a GPU: what the network left there is refined there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segtrain.crf import dense_crf
from segtrain.crf.backends import BackendName, load_backend
from segtrain.crf.inputs import Parameters
from segtrain.crf.potentials import read_kernels

if TYPE_CHECKING:
    from torch import Tensor


class DeviceCrf:
    """`dense_crf` with its parameters, of arrays and of batches on a GPU (`contracts.RefinesBatches`).

    Args:
        iterations: of mean field.
        gaussian: as of `dense_crf`.
        bilateral: likewise.
        backend: torch or triton.

    Raises:
        InputError: a backend that is not installed, or has no GPU.

    Example:
        >>> crf = DeviceCrf(iterations=10, gaussian={"sxy": 3, "compat": 3}, bilateral=None, backend="torch")
        >>> refined = crf.on_device(images, model(images)["out"].softmax(1))
    """

    def __init__(
        self,
        *,
        iterations: int,
        gaussian: Parameters | Sequence[Parameters] | None,
        bilateral: Parameters | Sequence[Parameters] | None,
        backend: BackendName,
    ):
        self.iterations = iterations
        self.kernels: dict[str, Any] = {"gaussian": gaussian, "bilateral": bilateral}
        self.backend: BackendName = backend
        self.engine: Any = load_backend(backend)

    def __call__(self, image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return dense_crf(
            image, probabilities, iterations=self.iterations, backend=self.backend, **self.kernels
        )

    def on_device(self, images: Tensor, probabilities: Tensor) -> Tensor:
        """The marginals of a batch, which are not checked to be probabilities.

        Args:
            images: uint8 or float N×K×H×W, in 0..255.
            probabilities: float N×C×H×W, a softmax.

        Returns:
            Marginals, float32 N×C×H×W, where the probabilities are.
        """
        kernels = read_kernels(
            self.kernels["gaussian"], self.kernels["bilateral"], images.shape[1], probabilities.shape[1]
        )
        return self.engine.infer(images, probabilities, kernels, self.iterations)
