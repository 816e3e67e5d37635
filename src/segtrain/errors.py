"""The failures that a user can mend: one line each, with an exit code (docs/using.md, "Exit codes")."""

from __future__ import annotations

import errno
import re
from pathlib import Path

DISTRIBUTION = "segtrain-papers"  # on the package index, where `segtrain` is somebody else's

LONGEST = 600  # characters of what is wrong
_CONTROL = re.compile(r"\s*[\x00-\x1f\x7f-\x9f]+\s*")


class SegtrainError(Exception):
    """A known failure: what is wrong and where, then what to do.

    Args:
        what: what is wrong and where (file, key, value), without a full stop.
        do: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, do: str = ""):
        what = _CONTROL.sub(" ", what)  # a file's name or content may hold line ends and a terminal's codes
        self.what = what if len(what) <= LONGEST else f"{what[: LONGEST - 1]}…"
        super().__init__(f"{self.what}; {do}" if do else self.what)


class InputError(SegtrainError):
    """Bad input or configuration."""

    exit_code = 2


class NotFinite(InputError):
    """The logits of an image are not finite, though the weights are."""


class MaskError(InputError):
    """A mask that its data set does not take as it is: `segdata ... action=check` says all of it."""


class MissingData(InputError):
    """A data set is not where `data.root` says."""


class NoSplit(InputError):
    """A data set has no test split, or this copy of it has none.

    Args:
        why: there is none.
        do: how there may be one.
    """

    def __init__(self, why: str, do: str = ""):
        also = f", or {do}" if do else ""
        super().__init__(f"split=test: {why}; there are train and val", do=f"take split=val or train{also}")


class DivergedError(SegtrainError):
    """The loss, or a weight, is no longer finite."""

    exit_code = 3


class NotLearned(SegtrainError):
    """`debug=overfit` did not get the loss of one batch down."""

    exit_code = 3


class SaveError(SegtrainError):
    """A checkpoint or report could not be written."""

    exit_code = 4
    full = False  # the disk is, so that nothing else can be written either

    @classmethod
    def of(cls, path: Path, error: OSError) -> SaveError:
        """The error for a file that could not be written, with what can be done about that cause."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        do = "choose another folder, or make this one writable"
        if full:
            do = "free some space, run again"
        elif error.errno == errno.ENAMETOOLONG:
            do = "give it a shorter name"
        result = cls(f"{path}: could not be written ({error.strerror or error})", do=do)
        result.full = full
        return result


class RankLost(SegtrainError):
    """Another process of the run failed, or was killed."""

    exit_code = 5


# torch's words for the host's memory, NumPy's, and those of CUDA and its libraries beside torch's allocator.
# torch's class for a GPU's memory is known by its name, so that torch need not be imported to ask.
_ON_A_GPU = re.compile(
    r"CUDA error: out of memory|CU(?:BLAS|DNN|SPARSE|FFT)_STATUS_(?:INTERNAL_)?ALLOC_FAILED"
)
_NO_MEMORY = re.compile(r"DefaultCPUAllocator: (?:can't|not enough) |Unable to allocate ")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or on the host."""
    if is_gpu_out_of_memory(error) or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def is_gpu_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation on a GPU failed, by torch or by a library that it calls."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _ON_A_GPU.search(str(error)) is not None


def shorten(value: object, most: int = 60) -> str:
    """A value of a file or of the user's as a message shows it: on one line, and not all of a long one."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def reading_reason(error: Exception) -> str:
    """Why a text file could not be read, with nothing of what is in it."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if mark := getattr(error, "problem_mark", None):  # PyYAML's
        return f"line {mark.line + 1} is no YAML"
    return getattr(error, "strerror", None) or type(error).__name__


def how_to_install(extra: str) -> str:
    """The command that installs an extra, for the message that misses it: `how_to_install("export")`."""
    return f"do: make install EXTRAS={extra}, or pip install '{DISTRIBUTION}[{extra}]'"
