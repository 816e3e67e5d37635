"""A disk that is full at the n-th operation of a run, for every n until a run gets through."""

import ctypes
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from functools import partial
from pathlib import Path

from scripts.stress._command import TINY, enter
from scripts.stress.kill import logged, same
from segtrain.engine.checkpoint import LAST, PREVIOUS, UNFINISHED, load
from segtrain.errors import InputError

PROMISE = "A full disk at every write: named, code 4, the checkpoint before intact, and the run goes on"
FULL, SAMPLE = 200, 1

RUN = [*TINY, "max_steps=4", "checkpoint_every=1", "val_every=4", "log_every=2", "resume=auto"]


def run(count: int, seed: int, folder: Path) -> str:
    shim = folder / "full_disk.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed to make the disk full"
    source = Path(__file__).with_name("_full_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
    os.environ["LD_PRELOAD"] = str(shim)
    try:
        child = multiprocessing.get_context("spawn").Process(target=every, args=(count, seed, folder, shim))
        child.start()
    finally:
        del os.environ["LD_PRELOAD"]
    child.join()
    result = folder / "result.json"
    assert result.exists(), f"the child left with {child.exitcode}"
    found = json.loads(result.read_text())
    assert not found["broken"], found["broken"]
    return found["figure"]


def every(count: int, seed: int, folder: Path, shim: Path) -> None:
    """In a process with the shim: one run without a fault, then one for each of `count` operations."""
    import segtrain.commands.train  # noqa: F401 - is imported once, before all the forks

    disk = ctypes.CDLL(str(shim))
    found = {"broken": "", "figure": ""}
    try:
        found["figure"] = try_all(count, seed, folder, disk)
    except AssertionError as error:
        found["broken"] = str(error)
    (folder / "result.json").write_text(json.dumps(found))


def try_all(count: int, seed: int, folder: Path, disk: ctypes.CDLL) -> str:
    whole = folder / "whole"
    code, total = forked(whole, disk, -1, -1)
    assert code == 0, (whole / "stderr.txt").read_text()
    wanted, lines = load(whole / "run/checkpoints" / LAST), logged(whole / "run")
    numbers = [*range(seed % max(1, total // count), total, max(1, total // count))][:count]
    for n in numbers:
        # It stays full, or somebody makes room at once.
        for end in (sys.maxsize, n + 1) if n % 2 else (sys.maxsize,):
            here = folder / f"{n}_{end}"
            case = f"operation {n} of {total}, {'and all after it' if end > n + 1 else 'alone'}, seed {seed}"
            refuse(here, disk, n, end, case)
            code, _ = forked(here, disk, -1, -1)
            assert code == 0, f"cannot go on: {(here / 'stderr.txt').read_text()}: {case}"
            same(load(here / "run/checkpoints" / LAST).tensors, wanted.tensors, case)
            assert logged(here / "run") == lines, f"another metrics.jsonl: {case}"
            shutil.rmtree(here)
    return f"{len(numbers)} of the {total} operations of a run, {len(numbers)} of {len(numbers)} as promised"


def refuse(here: Path, disk: ctypes.CDLL, n: int, end: int, case: str) -> None:
    code, _ = forked(here, disk, n, end)
    said = (here / "stderr.txt").read_text()
    assert "Traceback" not in said, f"{said}: {case}"
    # What was refused once may be tried again (a folder is made by whoever needs it first).
    done = code == 0 and end == n + 1
    assert code == 4 or done, f"exit code {code}: {said}: {case}"
    assert done or "No space left on device" in said or "os error 28" in said, f"no reason: {said}: {case}"
    assert done or str(here / "run") in said or "run/" in said, f"no path: {said}: {case}"
    checkpoints = here / "run/checkpoints"
    assert not list(checkpoints.glob(f"{UNFINISHED}*")), f"left behind: {case}"
    for name in (LAST, PREVIOUS):
        if (checkpoints / name).exists():
            try:
                load(checkpoints / name)
            except InputError as error:
                raise AssertionError(f"{error}: {case}") from error


def forked(here: Path, disk: ctypes.CDLL, first: int, end: int) -> tuple[int, int]:
    """The run's exit code and how many operations on its folder it made."""
    here.mkdir(exist_ok=True)
    counted = tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            limits = map(ctypes.c_long, (first, end))
            arm = partial(disk.full_disk, str(here / "run").encode(), *limits)
            enter("segtrain", [*RUN, f"hydra.run.dir={here}/run"], here, arm)
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        except Exception:
            traceback.print_exc()
        finally:
            os.write(counted.fileno(), str(disk.full_disk_operations()).encode())
            os._exit(code)
    _, status = os.waitpid(child, 0)
    counted.seek(0)
    return os.waitstatus_to_exitcode(status), int(counted.read() or 0)
