"""Trainings on two ranks that end while the machine is busy, each process torn down as Python does it.

A thread of gloo's that outlives its group can abort a process after all is done ("terminate called without
an active exception"): a job that was trained and counts as failed.
"""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hydra._internal.hydra import Hydra

from scripts.stress._processes import free_port

PROMISE = "A training on two ranks ends with its exit code on a busy machine: no signal, no abort"
FULL, SAMPLE = 300, 1
NEEDED = ["segtrain.cli.entry", "segtrain.commands.train", "albumentations", "matplotlib.figure"]
NEEDED += ["matplotlib.backends.backend_agg", "torch.utils.tensorboard"]
AT_ONCE = (os.cpu_count() or 1) + 2
SECONDS = 240  # of a training that takes one or two when nothing else runs
TINY = "model=fcn32s width=0.0625 data.size=32 data.train_images=4 data.val_images=2 batch_size=1".split()
TINY += "device=cpu precision=32 max_steps=2 log_every=1 logger=[jsonl]".split()


def run(count: int, seed: int, folder: Path) -> str:
    found = Counter(code for case in pairs("trained", count, seed, folder) for code in case)
    return f"{count} of {count}, {AT_ONCE} at once: {found[0]} processes left with 0, {found[143]} with 143"


def pairs(what: str, count: int, seed: int, folder: Path) -> list[list[int]]:
    """The exit codes of the two ranks of every training.

    Args:
        what: `trained`, by segtrain; or `peer`.

    Raises:
        AssertionError: one of segtrain's left with another code than its end has.
    """
    arguments = [sys.executable, "-m", "scripts.stress.ends", what, str(count), str(seed), str(folder)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def serve(what: str, count: int, seed: int, folder: Path) -> None:
    """Forks the ranks from this process, which has imported all and has no thread: they come back from
    here one by one, and end as a script does. More trainings at once than there are cores keep all busy."""
    for name in NEEDED:
        importlib.import_module(name)
    Hydra.get_mode = lambda *_, **__: None  # composes every config a second time
    rng, codes = random.Random(seed), []
    for first in range(0, count, AT_ONCE):
        started = []
        for case in range(first, min(first + AT_ONCE, count)):
            stopped = what == "trained" and rng.random() < 0.25
            here, port, ranks = folder / str(case), free_port(), []
            here.mkdir()
            for rank in (0, 1):
                pid = os.fork()
                if pid == 0:
                    prepare(rank, port, here)
                    if what == "trained":
                        train(case, here, rng, stopped)
                    else:
                        train_as_the_tutorial()
                    return
                ranks.append(pid)
            started.append((here, ranks, 143 if stopped else 0))
        for here, ranks, wanted in started:
            found = [wait(pid, here) for pid in ranks]
            if what == "trained":
                said = "".join((here / f"{rank}.txt").read_text() for rank in (0, 1))
                assert found == [wanted] * 2, f"case {here.name}, seed {seed}: left with {found}: {said}"
            codes.append(found)
    print(json.dumps(codes))


def prepare(rank: int, port: int, here: Path) -> None:
    output = os.open(here / f"{rank}.txt", os.O_CREAT | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import torch

    torch.set_num_threads(1)
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()}, MASTER_ADDR="localhost")


def train(case: int, here: Path, rng: random.Random, stopped: bool) -> None:
    from segtrain.cli import entry
    from segtrain.engine import train as loop

    if stopped and os.environ["RANK"] == str(case % 2):
        loop._set_rates = raising_a_signal(loop._set_rates)
    arguments = [f"num_workers={rng.choice((0, 0, 1))}", f"hydra.run.dir={here}/run"]
    sys.argv = ["segtrain", *TINY, *arguments]
    entry.segtrain()


def raising_a_signal(original: Callable) -> Callable:
    def set_rates(state):
        signal.raise_signal(signal.SIGTERM)
        return original(state)

    return set_rates


def train_as_the_tutorial() -> None:
    """torch's own example of DistributedDataParallel, ended as its tutorial does."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 7, 3))
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        model(torch.rand(1, 3, 32, 32)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    dist.destroy_process_group()


def wait(pid: int, here: Path) -> int:
    """The exit code of a rank, -6 for SIGABRT."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"{here}: still running after {SECONDS} s")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
