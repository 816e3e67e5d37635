"""The failures that a user can mend: one line each, with an exit code (README, "Exit codes")."""

from __future__ import annotations

import errno
from pathlib import Path

DISTRIBUTION = "segtrain-papers"  # on the package index, where `segtrain` is somebody else's


class SegtrainError(Exception):
    """A known failure: what is wrong and where, then what to do.

    Args:
        what: what is wrong and where (file, key, value), without a full stop.
        do: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, do: str = ""):
        super().__init__(f"{what}; {do}" if do else what)


class InputError(SegtrainError):
    """Bad input or configuration."""

    exit_code = 2


class MaskError(InputError):
    """A mask that its data set does not take as it is: `segdata ... action=check` says all of it."""


class DivergedError(SegtrainError):
    """The loss is no longer finite."""

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


def how_to_install(extra: str) -> str:
    """The command that installs an extra, for the message that misses it: `how_to_install("export")`."""
    return f"do: make install EXTRAS={extra}, or pip install '{DISTRIBUTION}[{extra}]'"
