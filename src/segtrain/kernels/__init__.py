"""The two loops over pixels that take the time of an evaluation on the CPU, compiled by numba.

Each does what a few lines of torch do, and stands in for them where numba is installed and an image
is large enough. Importing one loads numba: half a second, and a few more the first time on a machine.
"""

from importlib.util import find_spec

from torch import Tensor

INSTALLED = find_spec("numba") is not None
LARGE = 1 << 16  # pixels from which loading numba pays


def pay(pixels: int, *tensors: Tensor) -> bool:
    """Whether to load a kernel for that many pixels of these tensors."""
    return INSTALLED and pixels >= LARGE and all(x.device.type == "cpu" for x in tensors)
