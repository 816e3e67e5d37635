"""What is found in every mask of a split: read in parallel, in order, and cached."""

import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from segtrain.contracts import IGNORE_INDEX, HasIdentity, HasLabels, Split
from segtrain.errors import InputError
from segtrain.files import cache_folder

VERSION = 1  # of what is found: another number outdates every cache

S = TypeVar("S", bound=Split)
Found = TypeVar("Found")


def scan_masks(split: S, kind: str, find: Callable[[S, int], Any]) -> list[Any]:
    """Finds something in every mask of a split, once.

    Kept below `$XDG_CACHE_HOME/segtrain` (else ~/.cache/segtrain) where the split satisfies HasIdentity.
    A cache that is damaged or cannot be written is no error: every mask is read again.

    Args:
        split: of a data set.
        kind: what is found, in a word: it enters the cache's name.
        find: gives a JSON value, without tuples, of the split and an index.

    Returns:
        `find(split, index)` for every index.

    Raises:
        InputError: as `find` raises it.

    Example:
        >>> scan_masks(data.train, "labels", lambda split, i: np.unique(read_labels(split, i)[0]).tolist())
    """
    path = _cache_path(split, kind) if isinstance(split, HasIdentity) else None
    found = _read(path, len(split)) if path else None
    if found is None:
        found = map_indices(len(split), lambda index: find(split, index))
        if path:
            _write(path, found)
    return found


def map_indices(
    count: int, function: Callable[[int], Found], advance: Callable[[int], None] | None = None
) -> list[Found]:
    """Applies a function to 0 .. count-1 in parallel.

    Args:
        count: of the indices.
        function: of an index; called in threads.
        advance: called with 1 after each result, in order.

    Returns:
        The results in order.
    """
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(function, range(count)):
            found.append(result)
            if advance:
                advance(1)
    return found


def read_labels(split: Split, index: int) -> tuple[np.ndarray, str]:
    """A sample's mask and name, without its image where the split satisfies HasLabels."""
    if isinstance(split, HasLabels):
        return split.labels(index)
    sample = split[index]
    return sample.mask, sample.name


def label_counts(mask: np.ndarray) -> np.ndarray:
    """The pixels of each label of a mask H×W, int64 256; of one H×W×C those of each class, and the ignored
    labels."""
    if mask.ndim == 2:
        return np.bincount(mask.ravel(), minlength=256)
    counts = np.zeros(256, np.int64)
    counts[: mask.shape[2]] = (mask == 1).sum((0, 1))
    counts[IGNORE_INDEX] = (mask == IGNORE_INDEX).sum()
    return counts


def _cache_path(split: HasIdentity, kind: str) -> Path | None:
    try:
        return cache_folder() / f"{kind}-{_digest([VERSION, split.identity()])}.json"
    except (OSError, InputError):  # a file has gone, or nobody's home is known
        return None


def _digest(value: Any) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()


def _read(path: Path, length: int) -> list | None:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
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
            whole.write_text(json.dumps({"sha256": _digest(found), "found": found}), encoding="utf-8")
            whole.replace(path)  # a reader sees all of it or nothing
    except OSError:
        pass
