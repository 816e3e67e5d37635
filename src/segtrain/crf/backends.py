"""What computes the CRF: the contract of a backend, and those that there are."""

import importlib
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from segtrain.crf.potentials import Kernel
from segtrain.errors import InputError, how_to_install

BackendName = Literal["auto", "numba", "torch", "triton", "pydensecrf"]
BACKENDS = {  # imported when they are wanted, as each needs a library of its own
    "numba": ("segtrain.crf.cpu.backend", "NumbaBackend"),
    "torch": ("segtrain.crf.torch_backend.backend", "TorchBackend"),
    "triton": ("segtrain.crf.torch_backend.triton_backend", "TritonBackend"),
    "pydensecrf": ("segtrain.crf.pydensecrf_backend", "PydensecrfBackend"),
}


class Backend(Protocol):
    """Mean field of one image. Several threads may call a backend at once."""

    def marginals(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """Refines probabilities.

        Args:
            image: integers or floats H×W×K.
            probabilities: float32 C×H×W, contiguous; they are left as they are.
            kernels: at least one.
            iterations: of mean field, 0 or more.

        Returns:
            float32 C×H×W, which sum to 1 over C.

        Raises:
            InputError: what is no softmax, or stds too small for the image.
        """
        ...

    def labels(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """The argmax of `marginals`, of equal ones the first: integers H×W."""
        ...


def load_backend(name: str) -> Backend:
    """Imports and builds a backend.

    Args:
        name: numba, torch, triton or pydensecrf; or auto: torch where it has a GPU, else numba, else
            pydensecrf.

    Raises:
        InputError: a name that there is not, or a library that does not import.

    Example:
        >>> load_backend("numba").labels(image, softmax, kernels, 10)
    """
    if name != "auto" and name not in BACKENDS:
        raise InputError(
            f"dense_crf.backend must be auto, numba, torch, triton or pydensecrf, got {name!r}",
            do="auto takes what is installed",
        )
    for choice in _by_itself() if name == "auto" else (name,):
        module, kind = BACKENDS[choice]
        try:
            return getattr(importlib.import_module(module), kind)()
        except ImportError as error:
            failed = error
    needed = "numba" if name == "auto" else name
    command = how_to_install("pydensecrf") if needed == "pydensecrf" else f"do: pip install {needed}"
    raise InputError(f"crf=true needs {needed}, which does not import ({failed})", do=command) from failed


def _by_itself() -> tuple[str, ...]:
    import torch  # it takes seconds, and another backend may be wanted

    return ("torch",) if torch.cuda.is_available() else ("numba", "pydensecrf")
