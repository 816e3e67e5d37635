"""One of several ranks raises an error or is killed at a random step: the others leave too, in a line."""

import os
import random
import signal
import time
from pathlib import Path

from scripts.stress._processes import Ranks, segtrain
from segtrain.errors import InputError, RankLost

PROMISE = "One rank dies: all are gone within 30 s, and the first cause is reported once"
FULL, SAMPLE = 30, 1
SECONDS, STEPS = 30, 6
CAUSE = "image 7 is broken"


class Fault:
    """Makes this rank fail when it has made so many steps.

    kind: `input` raises an error that the user can mend, `defect` another, `kill` is kill -9.
    """

    def __init__(self, kind: str, rank: int, step: int):
        self.kind, self.rank, self.step = kind, rank, step

    def __call__(self) -> None:
        from segtrain.engine import train

        original = train._set_rates

        def fail(run):
            if run.step == self.step and os.environ["RANK"] == str(self.rank):
                self.fail()
            return original(run)

        train._set_rates = fail

    def fail(self) -> None:
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise InputError(CAUSE) if self.kind == "input" else ValueError(CAUSE)


def run(count: int, seed: int, folder: Path) -> str:
    rng, slowest = random.Random(seed), 0.0
    for case in range(count):
        ranks, kind = rng.choice((2, 3)), rng.choice(("kill", "input", "defect"))
        fault = Fault(kind, rng.randrange(ranks), rng.randrange(STEPS))
        what = f"case {case}, seed {seed}: {kind} on rank {fault.rank} of {ranks} at step {fault.step}"
        here = folder / str(case)
        workers = rng.choice((0, 1))
        arguments = [f"max_steps={STEPS}", f"hydra.run.dir={here}/run", f"num_workers={workers}"]
        started = Ranks(segtrain, (arguments, fault), here, ranks=ranks)
        slowest = max(slowest, check(started, fault, what))
    return f"{count} of {count}; the last process was gone {slowest:.1f} s after the first"


def check(started: Ranks, fault: Fault, what: str) -> float:
    """Gives the seconds from the death of the faulty rank to the end of the last."""
    started.processes[fault.rank].join(120)
    died = time.monotonic()
    codes = started.codes(SECONDS)
    seconds = time.monotonic() - died
    cause = {"kill": -9, "input": 2, "defect": 1}[fault.kind]
    assert codes[fault.rank] == cause, f"{what}: left with {codes}: {started.said(fault.rank)}"
    others = [r for r in range(len(codes)) if r != fault.rank]
    assert {codes[r] for r in others} == {RankLost.exit_code}, f"{what}: {codes}"
    lines = [line for r in others for line in started.said(r).splitlines()]
    messages = started.said(fault.rank).count(CAUSE)
    assert messages == (0 if fault.kind == "kill" else 1), f"{what}: {started.said(fault.rank)}"
    assert lines, f"{what}: the other ranks said nothing"
    assert all("another rank went away" in line for line in lines), f"{what}: the others said {lines}"
    return seconds
