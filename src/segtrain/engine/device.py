"""Where to compute and in what precision."""

import ctypes
import re
import sys
import warnings
from typing import NamedTuple

import torch

from segtrain.distributed import launch
from segtrain.errors import InputError

DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}


class Compute(NamedTuple):
    """A device and a precision: `32`, `bf16` or `16`."""

    device: torch.device
    precision: str

    def autocast(self):
        """The context in which forward passes run."""
        dtype = DTYPES.get(self.precision)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def seed(self, number: int) -> None:
        """Seeds the generators that are drawn from here, as torch.manual_seed does.

        That one also notes the call, with its traceback, for every kind of GPU that is not in use:
        milliseconds a step, and memory that is never given back.
        """
        torch.default_generator.manual_seed(number)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(number)
        elif self.device.type == "mps":
            torch.mps.manual_seed(number)


def choose(device: str, precision: str) -> Compute:
    """Turns `auto` into what the machine has.

    bfloat16 on GPUs and on CPUs with AMX or AVX-512 BF16 (two to five times as fast there),
    float16 on older GPUs, else float32.

    Raises:
        InputError: a device that is not there, or float16 on a CPU.
    """
    mps = torch.backends.mps.is_available()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    found = re.fullmatch(r"cpu|mps|cuda(?::(\d+))?", device)
    if found is None:
        raise InputError(f"device={device}", do="give auto, cpu, cuda, cuda:1 or mps")
    gpus = torch.cuda.device_count()
    if device.startswith("cuda") and int(found[1] or 0) >= gpus:
        raise InputError(f"device={device}: torch sees {gpus} GPUs", do="use device=auto or device=cpu")
    if device == "mps" and not mps:
        raise InputError("device=mps: torch sees no Metal GPU", do="use device=auto or device=cpu")
    if precision == "auto":
        precision = _fastest(device)
    if precision == "16" and device == "cpu":
        raise InputError("precision=16 needs a GPU", do="use precision=bf16 or precision=32")
    if device == "cuda":
        # Where a launcher shows each process its own GPU alone, that is number 0 to all of them.
        number = 0 if gpus == 1 else launch.local_rank()
        if number >= gpus:
            raise InputError(
                f"process {number + 1} of this machine has no GPU, torch sees {gpus}",
                do=f"launch {gpus} a machine, or use device=cpu",
            )
        device = f"cuda:{number}"
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # for streams and kernels that name none
        if precision == "32":
            _leave_tf32()
    return Compute(torch.device(device), precision)


def _leave_tf32() -> None:
    """Makes float32 mean it: torch lets cuDNN's convolutions round what they multiply to 10 bits."""
    with warnings.catch_warnings():  # there is a new name for it, which does not get on with the old one
        warnings.simplefilter("ignore")
        torch.backends.cudnn.allow_tf32 = False


def _fastest(device: str) -> str:
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "16"
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public name for them
    if device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names):
        return "bf16"
    return "32"


def keep_freed_memory() -> None:
    """Makes glibc keep what tensors free, for the tensors of the next step.

    By default it hands large blocks back to the kernel, which must clear them page by page every
    step: on VGG16's 103-million-weight fc6 a step takes 1.5 times as long. Elsewhere than on
    glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 256 * 2**20)
