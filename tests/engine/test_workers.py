"""Loaders that are killed, frozen, stuck, or have no shared memory."""

import errno
import multiprocessing
import os
import signal
import threading
import time

import pytest
import torch

from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.engine import checkpoint, workers
from segtrain.engine.loader import Augmented, TrainingStream, training_batches
from segtrain.errors import InputError
from tests.engine import test_train
from tests.engine.test_train import do, make_run


class Stuck(test_train.Blocks):
    """An image whose disk does not answer; the first ones are read."""

    def __getitem__(self, index):
        if index == 7:
            time.sleep(600)
        return super().__getitem__(index)


def test_a_signal_saves_while_a_loader_is_stuck(tmp_path, monkeypatch):
    monkeypatch.setattr(test_train, "Blocks", Stuck)
    monkeypatch.setattr(workers, "SLICE", 0.2)
    stop, start = StopSignals(), time.monotonic()
    before = set(multiprocessing.active_children())

    def ask():
        while not stop._before:  # until its handlers are there
            time.sleep(0.1)
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Thread(target=ask)
    timer.start()
    with pytest.raises(Stopped) as stopped:
        do(make_run(max_steps=50, num_workers=1), tmp_path, stop=stop)
    timer.join()
    assert stopped.value.exit_code == 143
    assert time.monotonic() - start < 60
    assert checkpoint.load(tmp_path / "checkpoints/last.ckpt").meta["step"] < 5
    assert set(multiprocessing.active_children()) <= before


def test_a_frozen_process_is_ended_by_force():
    stream = TrainingStream(10, 2, seed=0)
    batches = training_batches(Augmented(test_train.Blocks(), [], seed=0), stream, num_workers=1)
    before = set(multiprocessing.active_children())
    next(batches)
    (frozen,) = set(multiprocessing.active_children()) - before
    os.kill(frozen.pid, signal.SIGSTOP)
    batches.close()
    assert not frozen.is_alive()


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "out of memory"), (signal.SIGBUS, "--shm-size")]
)
def test_what_ended_a_process_is_said(number, words):
    stream = TrainingStream(10, 2, seed=0)
    batches = training_batches(Augmented(test_train.Blocks(), [], seed=0), stream, num_workers=1)
    before = set(multiprocessing.active_children())
    next(batches)
    (process,) = set(multiprocessing.active_children()) - before

    def end_and_go_on():
        with workers.explaining_workers():
            os.kill(process.pid, number)
            for _ in range(1000):
                next(batches)

    with pytest.raises(InputError, match=words):
        end_and_go_on()
    batches.close()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)",
            "--shm-size",
        ),
        ("unable to open shared memory object </torch_1>: Too many open files (24)", "ulimit -n"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_an_error_that_says_what_to_do(monkeypatch, reason, words):
    def refuse(_):
        raise RuntimeError(reason)

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)  # its processes are forks of this one
    stream = TrainingStream(10, 2, seed=0)
    batches = training_batches(Augmented(test_train.Blocks(), [], seed=0), stream, num_workers=1)
    with pytest.raises(InputError, match=words) as error:
        next(batches)
    assert "num_workers=0" in str(error.value)
    batches.close()


def test_other_errors_are_left_as_they_are():
    with pytest.raises(RuntimeError, match="of the network"), workers.explaining_workers():
        raise RuntimeError("of the network")


def test_a_full_disk_is_shared_memorys_only_where_processes_are_started_or_waited_for():
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"), workers.explaining_workers():
        raise full  # the log's
    with pytest.raises(InputError, match="--shm-size"), workers.explaining_workers([]):
        raise full


def test_a_run_whose_folder_is_gone_says_so_and_makes_none_anew(tiny, tmp_path, monkeypatch):
    from segtrain.commands.train import Drawings

    monkeypatch.setattr(
        Drawings, "after_validation", lambda *_: (tmp_path / "run1").rename(tmp_path / "renamed")
    )
    done = tiny("max_steps=4", "val_every=2")
    assert done.code == 4
    assert done.err.count("\n") == 1
    assert "the run's folder is gone, it was renamed or removed" in done.err
    assert not done.folder.exists()
