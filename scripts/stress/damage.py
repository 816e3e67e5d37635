"""Flipped bits and cut files: every one is noticed, and a resume falls back to the one before."""

from pathlib import Path

import numpy as np
import torch

from segtrain.engine.checkpoint import LAST, PREVIOUS, Checkpoint, load, load_newest, save
from segtrain.errors import InputError

PROMISE = "A damaged or truncated checkpoint is noticed; a resume takes the one before and names both"
FULL, SAMPLE = 1000, 60


def run(count: int, seed: int, folder: Path) -> str:
    rng = np.random.default_rng(seed)
    last, previous = folder / LAST, folder / PREVIOUS
    for step in (7, 8):
        save(small(step), last, previous=previous)
    content = last.read_bytes()
    for bit in rng.integers(0, 8 * len(content), count).tolist():
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        notice(bytes(flipped), last, previous, f"bit {bit} of {8 * len(content)} flipped, seed {seed}")
    lengths = truncations(content)
    for length in lengths:
        notice(content[:length], last, previous, f"cut to {length} of {len(content)} bytes")
    return f"{count} of {count} flipped bits and {len(lengths)} of {len(lengths)} lengths noticed"


def small(step: int) -> Checkpoint:
    """A checkpoint of some kilobytes with tensors of several types."""
    generator = torch.Generator().manual_seed(step)
    weights = {f"model.{i}": torch.rand(7, 5, 3, generator=generator) for i in range(20)}
    counters = {"model.batches": torch.tensor(step), "optimizer.step": torch.tensor(float(step))}
    return Checkpoint(weights | counters, {"step": step, "best": 0.5, "config": {"model": {"a": [1, 2]}}})


def truncations(content: bytes) -> list[int]:
    """Every class of length: nothing, within the header's length, the header, each tensor, the end."""
    header = 8 + int.from_bytes(content[:8], "little")
    around = {b + d for b in (0, 8, header, len(content)) for d in (-1, 0, 1)}
    spread = set(range(0, len(content), max(1, len(content) // 50)))
    return sorted(length for length in around | spread if 0 <= length < len(content))


def notice(damaged: bytes, last: Path, previous: Path, case: str) -> None:
    last.write_bytes(damaged)
    try:
        load(last)
    except InputError:
        pass
    else:
        raise AssertionError(f"not noticed: {case}")
    said: list[str] = []
    assert load_newest(last.parent, said.append).meta["step"] == 7, f"no fall-back: {case}"
    assert str(last) in said[0], f"{said[0]} does not name {last}: {case}"
    assert str(previous) in said[0], f"{said[0]} does not name {previous}: {case}"
