"""What is found by looking at every mask of a split once: in parallel, in order, and cached."""

import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

VERSION = 1  # of what is found: another number outdates every cache


def scan(split, kind: str, look: Callable[[Any, int], Any]) -> list:
    """`look(split, index)` for every index.

    Kept below `$XDG_CACHE_HOME/segtrain` (else ~/.cache/segtrain) where the split has an `identity()`,
    a JSON value that changes with its files. A cache that is damaged or cannot be written is no
    error: everything is looked at again.

    Args:
        kind: what is looked for, in a word: it enters the cache's name.
        look: gives a JSON value, without tuples.
    """
    path = _cache_path(split, kind) if hasattr(split, "identity") else None
    found = _read(path, len(split)) if path else None
    if found is None:
        found = look_at_all(len(split), lambda index: look(split, index))
        if path:
            _write(path, found)
    return found


def look_at_all(count: int, look: Callable[[int], Any], advance: Callable[[int], None] | None = None) -> list:
    """`look(index)` for 0 .. count-1 in parallel; `advance(1)` is called after each, in order."""
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(look, range(count)):
            found.append(result)
            if advance:
                advance(1)
    return found


def read_labels(split, index: int) -> tuple[np.ndarray, str]:
    """A sample's mask and name, without its image where the split can read them apart."""
    if hasattr(split, "labels"):
        return split.labels(index)
    sample = split[index]
    return sample.mask, sample.name


def _cache_path(split, kind: str) -> Path | None:
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "segtrain"
        return folder / f"{kind}-{_digest([VERSION, split.identity()])}.json"
    except (OSError, RuntimeError):  # a file has gone, or nobody's home is known
        return None


def _digest(value: Any) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()


def _read(path: Path, length: int) -> list | None:
    try:
        saved = json.loads(path.read_text())
        found = saved["found"]
        if saved["sha256"] == _digest(found) and len(found) == length:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _write(path: Path, found: list) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            whole = Path(folder) / path.name
            whole.write_text(json.dumps({"sha256": _digest(found), "found": found}))
            whole.replace(path)  # a reader sees all of it or nothing
    except OSError:
        pass
