"""Compiled once for a machine: numba's cache in a folder of our own, checked before it is read.

By itself numba's cache fails on a damaged file and, at import, where neither the package's folder nor
the home can be written to; and it takes no notice of an edit in a module that the compiled one
imports. Here the folder's name holds a digest of this room's sources, and a list of sums says which
files belong into it: whatever does not fit is compiled again.
"""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba

from segtrain.errors import InputError
from segtrain.files import cache_folder

LIST = "sums.json"


def announce(line: str) -> None:
    """Shows a line on stderr at once."""
    print(line, file=sys.stderr, flush=True)


class CompileCache:
    """Functions that numba compiles when they are first needed, and what it made of them on disk.

    Args:
        folder: is made; where that fails, or there is none, what is compiled lasts as long as the process.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder if folder and _can_be_written(folder) else None
        self._functions: list = []
        self._ready: set[str] = set()
        self._lock = threading.Lock()

    def jit(self, function: Callable, *, inline: bool = False) -> Callable:
        """Compiles a function when it is first called.

        Args:
            function: in the Python that numba knows.
            inline: into the compiled functions that call it.

        Returns:
            The function, compiled for each new combination of its arguments' types.
        """
        fast = numba.njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=inline)(function)
        if self.folder:
            config: Any = numba.config  # it has its settings set by strings
            before, config.CACHE_DIR = config.CACHE_DIR, str(self.folder)
            try:
                fast.enable_caching()
            finally:
                config.CACHE_DIR = before
            self._functions.append(fast)
        return fast

    def prepare(self, key: str, run: Callable[[], object], what: str, say: Callable = announce) -> None:
        """Calls `run`, once a process for each `key`.

        Args:
            key: of the types that are compiled for.
            run: calls the functions with these types.
            what: is being compiled, for the message.
            say: shows the message, where something is being compiled.
        """
        with self._lock:
            if key in self._ready:
                return
            compiled_before = self._trusted()
            if key not in compiled_before:
                say(f"compiling {what}, once on this machine: a few seconds")
            try:
                run()
            except Exception:  # whatever a damaged file, a full disk, or a folder that went can raise
                self._forget()
                run()
            if self.folder and key not in compiled_before:
                self._write_list(compiled_before | {key})
            self._ready.add(key)

    def _files(self) -> list[Path]:
        return sorted(p for p in self.folder.rglob("*.nb[ic]") if p.is_file()) if self.folder else []

    def _sums(self) -> dict[str, str]:
        folder = self.folder or Path()
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self._files()
        }

    def _trusted(self) -> set[str]:
        """The keys that the files on disk serve; removes the files where one is not as it was written."""
        if self.folder is None:
            return set()
        try:
            listed = json.loads((self.folder / LIST).read_text(encoding="utf-8"))
            if listed["sums"] == self._sums():
                return set(listed["keys"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._remove()
        return set()

    def _remove(self) -> None:
        for path in self._files():
            path.unlink(missing_ok=True)

    def _forget(self) -> None:
        """Goes on without what is on disk."""
        with contextlib.suppress(OSError):
            self._remove()
        self.folder = None
        for function in self._functions:
            function._cache.disable()

    def _write_list(self, keys: set[str]) -> None:
        assert self.folder is not None
        try:
            partial = self.folder / f"{LIST}.{os.getpid()}"
            partial.write_text(json.dumps({"keys": sorted(keys), "sums": self._sums()}), encoding="utf-8")
            partial.replace(self.folder / LIST)
        except OSError:
            pass  # the next process compiles again


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def folder_for(sources: list[Path], name: str) -> Path | None:
    """The user's cache folder for code compiled from some files by this numba on this Python.

    Args:
        sources: the files; an edit of any gives another folder.
        name: the folder's name begins with it.

    Returns:
        The folder, which need not exist; None where nobody's home is known.
    """
    texts = [path.read_bytes() for path in sorted(sources)]
    made_by = f"{numba.__version__} {sys.version}".encode()
    digest = hashlib.sha256(b"\0".join([made_by, *texts])).hexdigest()[:16]
    with contextlib.suppress(InputError):
        return cache_folder() / f"{name}-{digest}"
    return None


CACHE = CompileCache(folder_for(list(Path(__file__).parent.glob("*.py")), "crf"))
compiled = CACHE.jit
inlined = partial(CACHE.jit, inline=True)
