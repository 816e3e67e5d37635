"""num_workers=auto."""

import os
from types import SimpleNamespace

import pytest
import torch

from segtrain.engine import worker_count as counting
from segtrain.engine.worker_count import available_cores, worker_count

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def cores(monkeypatch):
    def have(count, local_ranks=1, shm=10**9):
        monkeypatch.setattr(counting, "available_cores", lambda: count)
        monkeypatch.setattr(counting.launch, "local_world_size", lambda: local_ranks)
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=shm, f_frsize=1))

    return have


def test_a_number_is_taken_as_it_is(cores):
    cores(1)
    assert worker_count(7, CPU, batches=1) == 7


@pytest.mark.parametrize(
    ("count", "cpu", "cuda"), [(1, 0, 0), (2, 1, 1), (8, 2, 7), (64, 4, 12), (1.5, 0, 0)]
)
def test_processes_follow_the_cores(cores, count, cpu, cuda):
    cores(count)
    assert worker_count("auto", CPU, batches=100) == cpu
    assert worker_count("auto", CUDA, batches=100) == cuda


def test_processes_of_a_machine_share_its_cores(cores):
    cores(64, local_ranks=8)
    assert worker_count("auto", CUDA, batches=100) == 7


def test_there_are_no_more_than_batches_nor_than_shared_memory_holds(cores):
    cores(64, shm=64 * 2**20)
    assert worker_count("auto", CUDA, batches=3) == 3
    assert worker_count("auto", CUDA, batches=100, batch_bytes=4 * 2**20) == 4
    assert worker_count("auto", CUDA, batches=100, batch_bytes=40 * 2**20) == 0


def test_the_share_of_a_container_counts(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(counting, "QUOTA", quota)
    monkeypatch.setattr(counting, "OLD_QUOTA", tmp_path / "none")
    whole = available_cores()
    assert whole >= 1
    for text, cores in (("50000 100000\n", 0.5), ("max 100000\n", whole), ("", whole)):
        quota.write_text(text)
        assert available_cores() == cores
