"""kill -9 at random moments and at every kind of file operation, again and again until the run is done."""

import json
import os
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from scripts.stress._command import TINY, Command
from segtrain.engine.checkpoint import BEST, LAST, PREVIOUS, load, load_newest

PROMISE = "kill -9 at any moment, saving included: the same weights in the end, and nothing left lying about"
FULL, SAMPLE = 100, 1

EVERY = 7
RUN = [*TINY, f"checkpoint_every={EVERY}", "val_every=50", "log_every=5", "ema=0.9"]
FILES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree"}


def run(count: int, seed: int, folder: Path) -> str:
    rng = np.random.default_rng(seed)
    start = time.monotonic()
    usual = folder / "tmp"  # torch makes a folder there, killed or not
    usual.mkdir()
    before = partial(prepare, usual, None)
    steps = 300 if count > SAMPLE else 100
    arguments = [*RUN, f"max_steps={steps}"]
    whole = Command("segtrain", [*arguments, "hydra.run.dir=run"], folder / "whole", before=before).finish()
    seconds = time.monotonic() - start
    assert whole.code == 0, whole.err
    wanted = load(folder / "whole/run/checkpoints" / LAST)
    lines = logged(folder / "whole/run")

    kills = runs = 0
    with tempfile.TemporaryDirectory(dir=other_file_system(folder)) as elsewhere:
        while kills < count:
            here = folder / f"run{runs}"
            temporary = Path(elsewhere) if runs % 2 else here / "tmp"
            temporary.mkdir(parents=True, exist_ok=True)
            case = f"run {runs}, seed {seed}, TMPDIR={temporary}"
            kills += until_done(arguments, here, temporary, count - kills, seconds, rng, case)
            same(load(here / "run/checkpoints" / LAST).tensors, wanted.tensors, case)
            assert logged(here / "run") == lines, f"another metrics.jsonl: {case}"
            left = {p.name for p in (here / "run/checkpoints").iterdir()}
            assert left == {BEST, LAST, PREVIOUS}, f"left behind: {left}, {case}"
            strays = {p.name for p in temporary.iterdir()} - {p.name for p in usual.iterdir()}
            assert not strays, f"left in TMPDIR: {strays}, {case}"
            runs += 1
    return f"{kills} of {kills} kills in {runs} runs of {steps} steps: weights and logs equal, no stray file"


def until_done(
    arguments: list[str],
    here: Path,
    temporary: Path,
    most: int,
    seconds: float,
    rng: np.random.Generator,
    case: str,
) -> int:
    """Starts the run with `resume=auto` until it is through, killing it; gives the number of kills."""
    kills, step = 0, 0
    checkpoints = here / "run/checkpoints"
    while True:
        # The run's own n-th operation on a file, or a moment from outside.
        operation = int(rng.integers(0, 300)) if rng.random() < 0.5 and kills < most else None
        moment = rng.uniform(0, seconds) if operation is None and kills < most else None
        before = partial(prepare, temporary, operation)
        command = Command("segtrain", [*arguments, "resume=auto", "hydra.run.dir=run"], here, before=before)
        command.process.join(moment)
        if command.process.exitcode is None:
            command.process.kill()
        outcome = command.finish()
        if step:
            assert f"at step {step}" in outcome.out or outcome.code == -signal.SIGKILL, outcome.out
        if outcome.code == 0:
            return kills
        assert outcome.code == -signal.SIGKILL, f"exit code {outcome.code}: {outcome.err}, {case}"
        kills += 1
        if any((checkpoints / name).exists() for name in (LAST, PREVIOUS)):
            said: list[str] = []
            now = load_newest(checkpoints, said.append).meta["step"]
            assert not said, f"{said[0]}, {case}"
            assert now >= step, f"fell back from step {step} to {now}: {case}"
            step = now
        behind = max((line["step"] for line in logged(here / "run", torn=True)), default=0) - step
        assert behind < EVERY + 1, f"{behind} steps lost, the checkpoints are {EVERY} apart: {case}"


def prepare(temporary: Path, operation: int | None) -> None:
    """In the run's process: its TMPDIR, and a kill at its n-th operation on a file below `run`."""
    os.environ["TMPDIR"] = str(temporary)
    left = operation

    def watch(event: str, arguments: tuple) -> None:
        nonlocal left
        if event in FILES and "run" in str(arguments[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    if operation is not None:
        sys.addaudithook(watch)


def other_file_system(folder: Path) -> Path:
    """A folder on another file system, where this machine has one."""
    memory = Path("/dev/shm")
    other = memory.is_dir() and memory.stat().st_dev != folder.stat().st_dev
    return memory if other and os.access(memory, os.W_OK) else folder


def logged(folder: Path, *, torn: bool = False) -> list[dict]:
    """The lines of metrics.jsonl without what is about time; `torn`: a kill may have cut the last."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    values = [json.loads(line) for line in lines if not torn or line.endswith("\n")]
    timed = ("seconds_per_step", "images_per_second", "waiting_for_data")
    return [{k: v for k, v in line.items() if k not in timed} for line in values]


def same(tensors: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], case: str) -> None:
    assert tensors.keys() == wanted.keys(), f"other tensors: {case}"
    other = [name for name, tensor in wanted.items() if not torch.equal(tensors[name], tensor)]
    assert not other, f"{len(other)} of {len(wanted)} tensors differ, {other[0]} first: {case}"
