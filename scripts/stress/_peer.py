"""Two of the rows for another way of saving, to compare with: Lightning Fabric's.

`python -m scripts.stress --peer`, after `make install EXTRAS=bench`.
"""

import itertools
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from scripts.stress._command import context
from scripts.stress.damage import small, truncations
from scripts.stress.kill import other_file_system

DAMAGED, KILLED = 1000, 30
NUMBERS = 10_000_000  # of a checkpoint that is saved again and again: 40 MB
NAME = "last.ckpt"


def rows(seed: int, folder: Path) -> dict[str, str]:
    """What is tried, and what came of it."""
    return {
        "Fabric: a damaged or truncated checkpoint is noticed": damage(DAMAGED, seed, folder),
        "Fabric: kill -9 while it saves, TMPDIR here and on another file system": kill(KILLED, seed, folder),
    }


def damage(count: int, seed: int, folder: Path) -> str:
    from lightning_fabric import Fabric

    rng, fabric, path = np.random.default_rng(seed), Fabric(accelerator="cpu", devices=1), folder / NAME
    fabric.save(path, {"model": small(8).tensors, "step": 8})
    content = path.read_bytes()

    def noticed(damaged: bytes) -> bool:
        path.write_bytes(damaged)
        try:
            fabric.load(path)
        except Exception:  # whatever it says, it has noticed
            return True
        return False

    bits = rng.integers(0, 8 * len(content), count).tolist()
    flips = sum(noticed(_flipped(content, bit)) for bit in bits)
    lengths = [length for length in truncations(content) if length < len(content)]
    cuts = sum(noticed(content[:length]) for length in lengths)
    return f"{flips} of {count} flipped bits and {cuts} of {len(lengths)} lengths noticed"


def _flipped(content: bytes, bit: int) -> bytes:
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def kill(count: int, seed: int, folder: Path) -> str:
    """Of checkpoints whose numbers all are the step, so that a mixture shows."""
    rng, intact, left = np.random.default_rng(seed), 0, 0
    with tempfile.TemporaryDirectory(dir=other_file_system(folder)) as elsewhere:
        for i in range(count):
            here = folder / f"kill{i}"
            temporary = Path(elsewhere, str(i)) if i % 2 else here / "tmp"
            temporary.mkdir(parents=True)
            process = context.Process(target=_save_for_ever, args=(here, temporary))
            process.start()
            while not (here / NAME).exists() and process.is_alive():
                process.join(0.01)
            process.join(rng.uniform(0, 1))
            process.kill()
            process.join()
            intact += _is_whole(here / NAME)
            left += sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
    return f"{intact} of {count} checkpoints whole afterwards, {left / 1e6:.0f} MB left in TMPDIR"


def _save_for_ever(here: Path, temporary: Path) -> None:
    os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    for step in itertools.count(1):
        fabric.save(here / NAME, {"model": {"weight": torch.full((NUMBERS,), float(step))}, "step": step})


def _is_whole(path: Path) -> bool:
    try:
        saved = torch.load(path, weights_only=True)
    except Exception:
        return False
    return bool((saved["model"]["weight"] == saved["step"]).all())
