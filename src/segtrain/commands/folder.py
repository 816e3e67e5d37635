"""A run's folder is made for one run alone, and locked while the run writes into it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segtrain.distributed import launch
from segtrain.errors import InputError, SaveError

try:
    import fcntl
except ImportError:  # Windows: two runs that write into one folder do not see each other
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
PATIENCE = 2.0  # seconds for a run that is just ending, as before a requeue
BUSY = (errno.EAGAIN, errno.EACCES)
# What a run has written before it did anything that is worth to be kept.
BEGINNING = ("config.yaml", "train.log", "eval.log", "metrics.json", "multirun.yaml", LOCK)


class MadeFolder:
    """A folder, and which of it and its parents were made for it."""

    def __init__(self, path: Path, made: list[Path]):
        self.path, self.made = path, made

    def remove_if_unused(self) -> None:
        """Removes the folder where it was made here and holds nothing but a run's beginning, and with
        it the parents that were made for it."""
        if self.path not in self.made or not _holds_a_beginning_only(self.path):
            return
        shutil.rmtree(self.path, ignore_errors=True)
        for parent in self.made:
            with suppress(OSError):  # another run may be in it by now
                parent.rmdir()


def new_folder(path: Path) -> MadeFolder:
    """Makes a folder that no other process has; a number follows where the name is taken.

    Raises:
        SaveError: it cannot be made.

    Example:
        >>> new_folder(Path("outputs/eval/2026-01-31_12-00-00")).path
    """
    for number in range(1, 10000):
        candidate = path if number == 1 else path.with_name(f"{path.name}_{number}")
        made = _missing(candidate)
        try:
            candidate.parent.mkdir(parents=True, exist_ok=True)
            candidate.mkdir()
        except FileExistsError:
            if candidate.parent.is_dir():
                continue
            raise _cannot_be_made(path, "a file is in its way") from None
        except FileNotFoundError:
            if candidate.parent.parent.is_dir():  # a refused run's tidying removed the parent in between
                continue
            raise _cannot_be_made(path, "No such file or directory") from None
        except OSError as error:
            raise _cannot_be_made(path, error.strerror) from error
        return MadeFolder(candidate, [candidate, *made])
    raise SaveError(f"{path}: thousands of this name exist", do="remove some")


def given_folder(path: Path) -> MadeFolder:
    """Makes a folder that the user chose, where it is missing. Raises SaveError."""
    made = _missing(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_made(path, error.strerror) from error
    return MadeFolder(path, made)


def check_no_training(folder: Path) -> None:
    """Raises InputError where another command would replace a training's config.yaml and metrics.json."""
    if (folder / "checkpoints" / "last.ckpt").is_file():  # segimport leaves best.ckpt alone
        what = f"{folder}: holds a training, whose config.yaml and metrics.json would be replaced"
        raise InputError(what, do="choose another folder")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While entered, no other run gets this folder; a killed process leaves no lock.

    Raises:
        InputError: another run has it.
        SaveError: it cannot be written.
    """
    lock = None if fcntl is None or launch.rank() > 0 else _lock(folder / LOCK)
    try:
        yield
    finally:
        if lock is not None:
            with suppress(OSError):  # while it is held, so that nobody waits for a file that is gone
                if _is_at(lock, folder / LOCK):
                    (folder / LOCK).unlink()
            fcntl.flock(lock, fcntl.LOCK_UN)  # closing alone would leave it with our loaders
            os.close(lock)


def is_locked(folder: Path) -> bool:
    """Whether a run is writing into this folder now."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in BUSY
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path) -> int | None:
    """The descriptor of the locked file; None where the file system has no locks."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # NFS locks no read-only file
        except OSError as error:
            raise _cannot_be_made(path.parent, error.strerror) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            if error.errno not in BUSY:
                return None
            if time.monotonic() > deadline:
                by = f" ({owner})" if owner else ""
                raise InputError(
                    f"{path.parent}: another run is writing into this folder{by}",
                    do="choose another hydra.run.dir, or wait for that run",
                ) from None
            time.sleep(0.1)
            continue
        if _is_at(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # its run ended in between, and removed it


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is what is at the path now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _missing(path: Path) -> list[Path]:
    """The path and those of its parents that are not there, from below."""
    missing: list[Path] = []
    for parent in (path, *path.parents):
        if parent.exists():
            break
        missing.append(parent)
    return missing


def _holds_a_beginning_only(folder: Path) -> bool:
    def keeps(path: Path) -> bool:
        if path.name == "metrics.jsonl":
            return path.stat().st_size > 0
        return path.name not in BEGINNING and not path.name.startswith("events.out.tfevents")

    try:
        return not any(path.is_file() and keeps(path) for path in folder.rglob("*"))
    except OSError:
        return False


def _cannot_be_made(path: Path, reason: Any) -> SaveError:
    return SaveError(f"{path}: this folder cannot be written ({reason})", do="choose another folder")
