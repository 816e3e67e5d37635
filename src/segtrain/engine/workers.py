"""The loader's processes: no signal reaches them, nobody waits for a dead or frozen one without a limit, and
what ended one is said."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.queues import Queue
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from segtrain.distributed.signals import STOP_SIGNALS, ask_when_parent_ends
from segtrain.errors import InputError

# joblib's processes have a way to start others that the loader knows nothing of.
FORK = "fork" if sys.platform == "linux" else None
SLICE = 1.0  # seconds between looks at whether to stop
LIMIT = 1800.0  # seconds for a batch; a network disk may sleep for minutes
ENDING = 2.0  # seconds for processes that were asked to end
NOT_SENT = {errno.ENOSPC: 71, errno.EMFILE: 72, errno.ENFILE: 72}  # exit codes of a process, by what failed

SHM = (
    "/dev/shm (shared memory) is too small for the batches of the loader's processes",
    "in Docker add --shm-size=8g, or use num_workers=0 or a smaller batch_size",
)
FILES = (
    "too many open files: each batch of the loader's processes takes some",
    "raise the limit by ulimit -n 4096, or use num_workers=0",
)
MEMORY = (
    "a loader's process was killed, as a system does that runs out of memory",
    "use fewer num_workers, num_workers=0 or a smaller batch_size, or ask for more memory",
)
REASONS = {  # what torch says -> what happened, and what to do
    r"shared memory.*Too many open files|Too many open files|ancdata": FILES,
    r"Bus error|shared memory|exit code 71": SHM,
    r"exit code 72": FILES,
    r"killed by signal: Killed|exit code -9": MEMORY,
    r"exit code -7": SHM,
}
LOST = re.compile(r"DataLoader worker \(pid|Too many open files|ancdata|shared memory")


def read_batches(loader: DataLoader, should_stop: Callable[[], bool]) -> Iterator[Any]:
    """What the loader gives, until `should_stop` says so while it is waited for.

    Args:
        loader: with `options(num_workers)`.
        should_stop: asked every second of waiting.

    Raises:
        InputError: a process was killed, cannot send, or gave nothing for half an hour.
    """
    before = set(multiprocessing.active_children())
    with explaining_workers([]):
        iterator = _started(loader)
    processes = [p for p in multiprocessing.active_children() if p not in before]
    try:
        while True:
            start = time.monotonic()
            with explaining_workers(processes):
                while True:
                    try:
                        batch = next(iterator)
                        break
                    except StopIteration:
                        return
                    except RuntimeError as error:
                        if "DataLoader timed out" not in str(error):
                            raise
                    if should_stop():
                        return
                    if time.monotonic() - start > LIMIT:
                        raise InputError(
                            f"no batch came from the loader's processes for {LIMIT / 60:.0f} minutes",
                            do="look whether the disk of the data answers",
                        )
            yield batch
    finally:
        end_processes(processes)


def loader_options(num_workers: int) -> dict[str, Any]:
    """What a DataLoader is to be given for `read_batches`."""
    if not num_workers:
        return {"num_workers": 0}
    return {
        "num_workers": num_workers,
        "timeout": SLICE,
        "multiprocessing_context": FORK,
        "worker_init_fn": _end_with_parent,
    }


def share(tensors: list[Tensor]) -> InputError | None:
    """Moves tensors into shared memory, in a loader's process; gives what was in the way.

    torch would do so in a thread that drops what does not fit, while the training waits for it.
    """
    if get_worker_info() is None:
        return None
    try:
        for tensor in tensors:
            tensor.share_memory_()
    except (RuntimeError, OSError) as error:
        return _explained(str(error)) or InputError(f"a batch could not be shared ({error})")
    return None


@contextmanager
def explaining_workers(processes: list[Any] | None = None) -> Iterator[None]:
    """Turns torch's and the system's complaints of the loader's processes into an InputError.

    Args:
        processes: those that are started or waited for inside. None: other work is done, which torch may
            interrupt to say that a process was killed; a full disk is then not the loader's.
    """
    try:
        yield
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        raise _of_processes(str(error), processes) from error
    except EOFError as error:
        raise _of_processes("no answer", processes) from error
    except OSError as error:
        if error.errno in NOT_SENT and processes is not None:
            what, do = FILES if error.errno in (errno.EMFILE, errno.ENFILE) else SHM
            raise InputError(what, do=do) from error
        if isinstance(error, ConnectionError | FileNotFoundError) and _exit_codes(processes):
            raise _of_processes(str(error), processes) from error  # it was about to hand a batch over
        raise


def _of_processes(complaint: str, processes: list[Any] | None) -> InputError:
    codes = " ".join(f"exit code {code}" for code in _exit_codes(processes))
    return _explained(f"{complaint} {codes}") or InputError(
        f"a loader's process ended ({complaint.splitlines()[0]})",
        do="num_workers=0 shows the reason, if it is one of the data's",
    )


def _exit_codes(processes: list[Any] | None) -> list[int]:
    """Of the processes that ended badly; who just lost the connection may take a moment to end."""
    codes = []
    for process in processes or ():
        with suppress(RuntimeError):  # torch's complaint of this very process
            process.join(0.5)
        if process.exitcode:
            codes.append(process.exitcode)
    return codes


def _explained(text: str) -> InputError | None:
    for pattern, (what, do) in REASONS.items():
        if re.search(pattern, text, re.DOTALL):
            return InputError(what, do=do)
    return None


def end_processes(processes: list[Any]) -> None:
    """Ends the loader's processes, frozen ones by force: they hold nothing that anybody needs."""
    with suppress(RuntimeError):  # torch complains of each that it finds killed
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + ENDING
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join(ENDING)


def _started(loader: DataLoader) -> Iterator:
    """The loader's iterator, whose processes no signal reaches: whoever stops a run may send one to
    each of its processes, and they must outlive it until the run has saved."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return iter(loader)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # a process inherits the mask
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent(_worker: int) -> None:
    """In a loader's process: only its parent's SIGTERM ends it, its parent's end, and a batch that it
    cannot send."""
    ask_when_parent_ends(signal.SIGKILL)
    Queue._on_queue_feeder_error = staticmethod(_leave_unsent)  # type: ignore[attr-defined]
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_wait_for_parents_signal, daemon=True).start()
    else:  # macOS does not say who sent a signal
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))


def _leave_unsent(error: Exception, _batch: object) -> None:
    """Python prints a traceback and drops the batch, for which the training would wait."""
    os._exit(NOT_SENT.get(getattr(error, "errno", 0) or 0, 1))


def _wait_for_parents_signal() -> None:
    while signal.sigwaitinfo((signal.SIGTERM,)).si_pid != os.getppid():
        pass
    os._exit(0)
