"""What a run was made by: versions, commit, command line, and a fingerprint of the data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from segtrain.commands.command_line import command_line
from segtrain.contracts import Dataset, HasPairs, Split
from segtrain.data.datasets.one_hot import OneHotSplit
from segtrain.distributed import launch
from segtrain.version import __version__

# A repository may name a program that git would start to look for changes.
GIT_STATUS = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "-uno"]
SECONDS = 5  # that git may take for a working directory on a slow disk


def made_by(data: Dataset) -> dict[str, Any]:
    """What checkpoints and `metrics.json` hold under `made_by`, and the head of `config.yaml` in words.

    Args:
        data: whose files are counted and whose sizes are looked up; none is read.

    Returns:
        `segtrain`, `torch`, `python` (versions), `command`, `processes`, `git` ({"commit", "dirty"} of the
        working directory, or None) and `data` (see `data_fingerprint`).

    Example:
        >>> made_by(data)["git"]
        {"commit": "1f0c2d...", "dirty": False}
    """
    return {
        "segtrain": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "command": command_line(),
        "processes": launch.world_size(),
        "git": git_commit(Path.cwd()),
        "data": data_fingerprint(data),
    }


def in_words(made: Mapping[str, Any]) -> list[str]:
    """The lines at the head of `config.yaml`."""
    versions = f"segtrain {made['segtrain']}, torch {made['torch']}, Python {made['python']}"
    if git := made["git"]:
        versions += f", commit {git['commit'][:12]}{' with changes' if git['dirty'] else ''}"
    return [made["command"], versions, f"data: {_counts(made['data'])}, sha256 {made['data']['sha256'][:16]}"]


def data_fingerprint(data: Dataset) -> dict[str, Any]:
    """Changes with the names and sizes of the files of both splits, not with where they are or their times.

    Returns:
        `train` and `val` (images), `files`, and `sha256` over names and sizes.
    """
    splits = {"train": data.train, "val": data.val}
    listed = [list(_files(split)) for split in splits.values()]
    counts = {name: len(split) for name, split in splits.items()}
    digest = hashlib.sha256(json.dumps([counts, listed]).encode()).hexdigest()
    return counts | {"files": sum(map(len, listed)), "sha256": digest}


def data_change(before: Any, now: Mapping[str, Any]) -> str | None:
    """In a line how the data differ from those of a checkpoint; None where they do not, or nobody knows.

    Args:
        before: the checkpoint's `made_by`, which older ones lack.
        now: this run's.
    """
    old = before.get("data") if isinstance(before, dict) else None
    new = now["data"]
    if not old or old["sha256"] == new["sha256"]:
        return None
    if _counts(old) == _counts(new):
        return f"the data are not those of before: names or sizes of files differ ({_counts(new)})"
    return f"the data are not those of before: {_counts(old)} then, {_counts(new)} now"


def git_commit(folder: Path) -> dict[str, Any] | None:
    """The commit that a folder's repository is at, and whether tracked files have changed since.

    Returns:
        {"commit": its hash, "dirty": true or false}; None without git, a repository or a commit.
    """
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            GIT_STATUS,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)":
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def _counts(data: Mapping[str, Any]) -> str:
    images = f"{data['train']} images to train on, {data['val']} to validate"
    return images + (f", {data['files']} files" if data["files"] else "")


def _files(split: Split) -> Iterator[list]:
    """[name, size] of each file of a split."""
    if isinstance(split, OneHotSplit):
        split = split.split
    if isinstance(split, HasPairs):
        for pair in split.pairs:
            yield [pair.name, _size(pair.image)]
            if pair.mask != pair.image:
                yield [pair.mask.name, _size(pair.mask)]
        return
    for item in getattr(split, "items", ()):  # of annotations: images in files, masks that are drawn
        yield [item.name, _size(item.image)]
    for path, size, _ in getattr(split, "stamps", ()):
        yield [Path(path).name, size]


def _size(path: Path) -> int:
    """A file's size; of a folder of files the sum of theirs; -1 where there is none."""
    try:
        if path.is_dir():
            return sum(child.stat().st_size for child in path.iterdir())
        return path.stat().st_size
    except OSError:
        return -1
