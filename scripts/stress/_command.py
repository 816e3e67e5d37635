"""Commands of segtrain as processes: each forked from one that has imported torch, and nothing else."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# What the command sets before it loads torch; here the server does so, once for all.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [
        "segtrain.commands.train",
        "segtrain.commands.evaluate",
        "segtrain.commands.predict",
        "segtrain.cli.entry",
    ]
)

# A run of milliseconds a step, with nothing left out of what a run has.
TINY = ("width=0.0625", "data.size=32", "data.train_images=12", "data.val_images=3", "batch_size=2")
TINY += ("model=unet", "device=cpu", "precision=32", "num_workers=0")


class Outcome(NamedTuple):
    """What a command left: its exit code (-9: killed) and what it printed."""

    code: int
    out: str
    err: str


class Command:
    """A command that has been started in `folder`: `Command("segtrain", ["max_steps=3"], folder)`.

    Args:
        before: called in the process first: to watch it, or to make something fail.
    """

    def __init__(
        self, name: str, arguments: list[str], folder: Path, *, before: Callable[[], None] | None = None
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.process = context.Process(target=enter, args=(name, arguments, folder, before))
        self.process.start()

    def finish(self, seconds: float = 300) -> Outcome:
        """Waits for the end. Raises AssertionError where it does not come."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"still running after {seconds} s: {self.folder}")
        texts = [(self.folder / name).read_text() for name in ("stdout.txt", "stderr.txt")]
        return Outcome(self.process.exitcode, *texts)


def enter(name: str, arguments: list[str], folder: Path, before: Callable[[], None] | None = None) -> None:
    """The command in this process, which is its own from now on."""
    for stream, file in ((1, "stdout.txt"), (2, "stderr.txt")):
        descriptor = os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(folder)
    sys.argv = [name, *arguments]
    tempfile.tempdir = None  # TMPDIR may be another now
    from segtrain.cli import entry

    if before is not None:
        before()
    getattr(entry, name)()
