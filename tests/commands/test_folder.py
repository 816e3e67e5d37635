"""A run's folder: made for one run alone, locked, and gone where the run was refused."""

import multiprocessing
import os
import time

import pytest

from segtrain.commands import folder as folders
from segtrain.commands.folder import LOCK, given_folder, is_locked, locked, new_folder
from segtrain.errors import InputError, SaveError
from tests.conftest import FAST, TINY


def make(path, queue, barrier):
    barrier.wait()
    queue.put(new_folder(path).path.name)


def test_runs_of_one_second_get_a_folder_each(tmp_path):
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(6)
    started = [context.Process(target=make, args=(tmp_path / "a/b/now", queue, barrier)) for _ in range(6)]
    for process in started:
        process.start()
    names = {queue.get(timeout=60) for _ in started}
    assert names == {"now", *(f"now_{i}" for i in range(2, 7))}


def hold(path, entered, seconds):
    with locked(path):
        entered.set()
        time.sleep(seconds)


def test_a_folder_in_use_is_refused_and_a_killed_owner_leaves_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "PATIENCE", 0.2)
    context = multiprocessing.get_context("fork")
    entered = context.Event()
    owner = context.Process(target=hold, args=(tmp_path, entered, 60))
    owner.start()
    assert entered.wait(60)
    assert is_locked(tmp_path)
    with pytest.raises(InputError, match=rf"another run is writing .* \(process {owner.pid} on"):
        locked(tmp_path).__enter__()
    owner.kill()
    owner.join()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()}")
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_lock_whose_file_is_removed_locks_the_new_file(tmp_path, monkeypatch):
    import fcntl

    original, first = fcntl.flock, []

    def flock(descriptor, how):
        if not first:  # between our opening and our locking, the owner leaves and another run comes
            first.append(descriptor)
            (tmp_path / LOCK).unlink()
            (tmp_path / LOCK).write_text("another")
        return original(descriptor, how)

    monkeypatch.setattr(folders.fcntl, "flock", flock)
    with locked(tmp_path):
        assert "process" in (tmp_path / LOCK).read_text()


def test_a_forked_child_keeps_no_lock(tmp_path):
    with locked(tmp_path):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
    try:
        with locked(tmp_path):
            pass
    finally:
        child.kill()
        child.join()


def test_a_refused_run_leaves_no_folder(run, tmp_path):
    for arguments in (["optimizer.lr=fast"], ["loss=aux"], ["resume=nothing.ckpt"], ["precision=16"]):
        done = run("segtrain", *TINY, *FAST, *arguments, f"hydra.run.dir={tmp_path}/new/below")
        assert done.code == 2
        assert not (tmp_path / "new").exists()
    assert run("segeval", "ckpt=nothing.ckpt").code == 2
    assert run("segtrain", "-m", "loss=cross_entropy,nosuch", *TINY, *FAST).code == 2
    assert run("segpredict", "ckpt=nothing.ckpt", "input=x").code == 2
    assert list(tmp_path.iterdir()) == []


def test_another_run_is_not_written_over(tiny, run):
    first = tiny()
    best = (first.folder / "checkpoints/best.ckpt").read_bytes()
    again = tiny("seed=1", f"hydra.run.dir={first.folder}")
    assert again.code == 2
    assert "holds another run" in again.err
    assert "resume=auto" in again.err
    assert (first.folder / "checkpoints/best.ckpt").read_bytes() == best
    on = tiny("max_steps=3", f"resume={first.folder}", f"hydra.run.dir={first.folder}")
    assert on.code == 0, on.err


def test_a_folder_that_cannot_be_made_leaves_with_4(run):
    done = run("segtrain", *TINY, *FAST, "hydra.run.dir=/proc/segtrain_x")
    assert done.code == 4
    assert done.err.count("\n") == 1
    assert "/proc/segtrain_x: this folder cannot be written" in done.err
    sweep = run("segtrain", "-m", *TINY, *FAST, "seed=0,1", "hydra.sweep.dir=/proc/segtrain_x")
    assert sweep.code == 4


def test_a_folder_in_the_way_of_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="cannot be written"):
        new_folder(tmp_path / "file/now")
    with pytest.raises(SaveError, match="cannot be written"):
        given_folder(tmp_path / "file")
