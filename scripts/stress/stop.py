"""SIGTERM, SIGUSR1 and Ctrl-C at random moments of the loop: saved, left, and the same in the end."""

import json
import random
import signal
import time
from contextlib import suppress
from os import kill
from pathlib import Path

import torch

from scripts.stress._processes import Ranks, children, handles, segtrain
from segtrain.engine.checkpoint import LAST, load

PROMISE = (
    "SIGTERM, SIGUSR1 or Ctrl-C at any moment, on 1 and 2 ranks, to one process or to all: the run saves and"
    " leaves within a step, and ends with the same weights when it is resumed"
)
FULL, SAMPLE = 50, 1
CODES = {signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGINT: 130}
STEPS = 9
RUN = f"max_steps={STEPS} val_every=3 checkpoint_every=2 log_every=1".split()
RUN += "schedule=constant data.val_images=30".split()


def run(count: int, seed: int, folder: Path) -> str:
    rng = random.Random(seed)
    whole: dict[int, tuple] = {}
    longest, validating = 0.0, 0
    for case in range(count):
        ranks, number, to_all = rng.choice((1, 2)), rng.choice(list(CODES)), rng.random() < 0.5
        what = f"case {case}, seed {seed}: {number.name} to {'all' if to_all else 'one'}, {ranks} ranks"
        here = folder / str(case)
        if ranks not in whole:
            whole[ranks] = unbroken(ranks, folder / f"whole{ranks}")
        reference, seconds = whole[ranks]
        taken, in_validation = stopped(rng, ranks, number, to_all, seconds, here, what)
        longest, validating = max(longest, taken), validating + in_validation
        resumed = Ranks(segtrain, (arguments(here, ranks, rng),), here / "resumed", ranks=ranks)
        assert resumed.codes(300) == [0] * ranks, f"{what}: resuming failed: {resumed.said(0)}"
        assert_same(outcome(here), reference, what)
    return (
        f"{count} of {count} saved and left, {validating} of them in a validation, the slowest in"
        f" {longest:.1f} s; bit-equal when resumed"
    )


def arguments(folder: Path, ranks: int, rng: random.Random | None = None) -> list[str]:
    workers = rng.choice((0, 1)) if rng else 1
    return [*RUN, f"hydra.run.dir={folder}/run", "resume=auto", f"num_workers={workers}"]


def unbroken(ranks: int, folder: Path) -> tuple[tuple, float]:
    """A whole run's outcome, and the seconds that its loop took."""
    started = Ranks(segtrain, (arguments(folder, ranks),), folder, ranks=ranks)
    wait_for_loop(started)
    start = time.monotonic()
    assert started.codes(300) == [0] * ranks, started.said(0)
    return outcome(folder), time.monotonic() - start


def stopped(rng, ranks, number, to_all, seconds, folder, what) -> tuple[float, bool]:
    """Stops a run and checks how it left; gives the seconds that it took, and whether it validated."""
    while True:
        started = Ranks(segtrain, (arguments(folder, ranks, rng),), folder, ranks=ranks)
        wait_for_loop(started)
        time.sleep(rng.uniform(0, seconds))
        pids = [process.pid for process in started.processes]
        target = rng.choice(pids)
        before, start = steps(folder), time.monotonic()
        in_the_loop = all(is_in_loop(pid) for pid in pids)
        for pid in [p for parent in pids for p in (parent, *children_of(parent))] if to_all else [target]:
            with suppress(ProcessLookupError):
                kill(pid, number)
        codes = started.codes(60)
        if in_the_loop and codes != [0] * ranks:
            break
        seconds *= 0.8  # it was over already: the machine is faster than before
        for file in (folder / "run").rglob("*.*"):
            file.unlink()
    printed = "".join(started.said(rank) for rank in range(ranks))
    saved = load(folder / "run/checkpoints" / LAST)
    # The ranks that no signal reached take it for SIGTERM.
    allowed = {CODES[number]} if to_all else {CODES[number], 143}
    assert set(codes) <= allowed, f"{what}: exit codes {codes}: {printed}"
    assert printed.count("stopped by") == 1, f"{what}: printed {printed}"
    assert "Traceback" not in printed, f"{what}: {printed}"
    assert saved.meta["step"] <= before + 2, f"{what}: {before} steps before, {saved.meta['step']} saved"
    return time.monotonic() - start, saved.meta["validation_pending"]


def wait_for_loop(started: Ranks) -> None:
    deadline = time.monotonic() + 120
    while not all(is_in_loop(process.pid) for process in started.processes):
        assert time.monotonic() < deadline, "no loop after two minutes"
        assert all(p.is_alive() for p in started.processes), started.said(0)
        time.sleep(0.005)


def is_in_loop(pid: int) -> bool:
    try:
        return handles(pid, signal.SIGUSR1)
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return False


def children_of(pid: int) -> list[int]:
    try:
        return children(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []


def steps(folder: Path) -> int:
    path = folder / "run/metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


def outcome(folder: Path) -> tuple:
    """The final weights, and every line of the log without times."""
    lines = map(json.loads, (folder / "run/metrics.jsonl").read_text().splitlines())
    kept = ("step", "split", "loss", "lr", "mean_iou", "pixel_accuracy")
    logged = [{key: line[key] for key in kept if key in line} for line in lines]
    return load(folder / "run/checkpoints" / LAST).tensors, logged


def assert_same(outcome: tuple, reference: tuple, what: str) -> None:
    tensors, logged = outcome
    assert logged == reference[1], f"{what}: logged {logged}"
    for name, tensor in reference[0].items():
        assert torch.equal(tensors[name], tensor), f"{what}: {name} differs after the resume"
