"""Runs of segtrain in processes of their own, which one server that has imported torch forks."""

import os
import socket
import sys
import time
from pathlib import Path

from scripts.stress._command import context

context.set_forkserver_preload(
    [
        "segtrain.cli.entry",
        "segtrain.commands.train",
        "albumentations",
        "matplotlib.figure",
        "torch.utils.tensorboard",
    ]
)

TINY = "model=fcn32s width=0.0625 data.size=32 data.train_images=8".split()
TINY += "batch_size=2 device=cpu precision=32".split()


class Ranks:
    """The processes of one run, of which rank r writes into `folder`/r.out and r.err.

    Args:
        work: what each does, with `arguments`; a module's function.
    """

    def __init__(self, work, arguments: tuple, folder: Path, *, ranks: int = 1):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, port = folder, free_port()
        self.processes = [
            context.Process(target=_in_group, args=(work, arguments, rank, ranks, port, str(folder)))
            for rank in range(ranks)
        ]
        for process in self.processes:
            process.start()

    def codes(self, seconds: float) -> list[int]:
        """Exit codes, -9 for SIGKILL. Raises AssertionError where one still lives after that time."""
        deadline = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0.01))
        living = [r for r, process in enumerate(self.processes) if process.is_alive()]
        for process in self.processes:
            process.kill()
        assert not living, f"ranks {living} still run after {seconds:.0f} s: {self.folder}"
        return [process.exitcode for process in self.processes]

    def said(self, rank: int) -> str:
        """What a rank has written to stderr."""
        return (self.folder / f"{rank}.err").read_text()


def segtrain(arguments: list[str], fault=None) -> None:
    """The command, with `fault()` called before."""
    from segtrain.cli import entry

    if fault:
        fault()
    sys.argv = ["segtrain", *TINY, *arguments]
    entry.segtrain()


def _in_group(work, arguments: tuple, rank: int, ranks: int, port: int, folder: str) -> None:
    os.setpgid(0, 0)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{rank}.{name}", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
    if ranks > 1:
        environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in environment.items()}, MASTER_ADDR="localhost")
    import torch

    torch.set_num_threads(1)
    work(*arguments)


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]
