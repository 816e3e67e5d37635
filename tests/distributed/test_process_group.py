"""Two processes on the CPU (gloo) against one: the same gradients, the same metrics."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from segtrain import optim
from segtrain.distributed import launch, process_group
from segtrain.engine import checkpoint
from segtrain.errors import InputError
from segtrain.evaluation.report import Report
from tests.engine.test_train import do, make_run, weights
from tests.evaluation.test_evaluate import CPU, NAMES, EvaluationSettings, Images, evaluate, predictor

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def work(rank: int, port: int, folder: str) -> None:
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost"}
    os.environ.update({k: str(v) for k, v in environment.items()}, MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with process_group.join(torch.device("cpu")):
        run = make_run(batch_size=2, max_steps=3)
        run.model.dropout.p = 0.0
        do(run, Path(folder, str(rank)))
        report = Report(NAMES, PALETTE)
        metrics = evaluate(predictor(2), Images(), NAMES, CPU, EvaluationSettings(), on_image=report.add)
        report.gather()
        names = [image.name for image in report.images], [row.name for row in report.extremes.rows]
        done = {"weights": weights(run), "matrix": metrics["confusion_matrix"], "names": names}
        done["resumed"] = weights(resume(make_run(batch_size=2, max_steps=6), folder, rank))
        with pytest.raises(InputError) as error:
            resume(make_run(batch_size=4, max_steps=6), folder, rank)
        done["refused"] = str(error.value)
        done["norms"] = list(train_with_norms(Path(folder, f"norms{rank}")).buffers())
    torch.save(done, f"{folder}/{rank}.pt")
    process_group.end_process(0)


def resume(run, folder, rank):
    run.model.dropout.p = 0.0
    run.restore(checkpoint.load(Path(folder, "alone/checkpoints/last.ckpt")))
    do(run, Path(folder, f"resumed{rank}"))
    return run


def train_with_norms(folder: Path) -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    run = make_run(batch_size=2, max_steps=2)
    run.model.backbone = net
    run.optimizer = optim.sgd(run.model, lr=0.1)
    run.wrapped = process_group.wrap(run.model)
    do(run, folder)
    return net


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process whose steps are of four images, at step 3."""
    folder = tmp_path_factory.mktemp("ranks")
    run = make_run(batch_size=4, max_steps=3)
    run.model.dropout.p = 0.0
    do(run, folder / "alone")
    return run, folder


@pytest.fixture(scope="module")
def ranks(alone):
    folder = alone[1]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    mp.spawn(work, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_two_ranks_make_the_steps_of_one_process_though_ignored_pixels_are_uneven(ranks, alone):
    assert torch.equal(ranks[0]["weights"], ranks[1]["weights"])
    assert torch.allclose(ranks[0]["weights"], weights(alone[0]), rtol=1e-5, atol=1e-7)


def test_two_ranks_count_the_pixels_of_one_process(ranks):
    matrix = evaluate(predictor(2), Images(), NAMES, CPU, EvaluationSettings())["confusion_matrix"]
    assert ranks[0]["matrix"] == ranks[1]["matrix"] == matrix


def test_every_rank_knows_every_image_in_the_order_of_the_split(ranks):
    for rank in ranks:
        lines, extremes = rank["names"]
        assert lines == ["0", "1", "2"]
        assert sorted(extremes) == lines


def test_two_ranks_go_on_with_the_run_of_one_where_a_step_is_of_as_many_images(ranks, alone, tmp_path):
    whole = make_run(batch_size=4, max_steps=6)
    resume(whole, alone[1], "_alone")
    assert torch.equal(ranks[0]["resumed"], ranks[1]["resumed"])
    assert torch.allclose(ranks[0]["resumed"], weights(whole), rtol=1e-5, atol=1e-7)


def test_ranks_that_would_make_other_steps_are_refused(ranks):
    assert "a step must have 4 images as before, got 8" in ranks[0]["refused"]
    assert "batch_size=4 × accumulate=1 × 2 processes" in ranks[0]["refused"]


def test_all_ranks_have_the_same_statistics_of_batch_norm(ranks):
    for first, second in zip(ranks[0]["norms"], ranks[1]["norms"], strict=True):
        assert torch.equal(first, second)


def test_other_statistics_of_batch_norm_are_refused_unless_they_are_frozen():
    whole = make_run(batch_size=4)
    whole.model.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    saved = whole.checkpoint()
    for frozen in (False, True):
        parts = make_run(batch_size=2, accumulate=2, freeze_norm=frozen)
        parts.model.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        if frozen:
            parts.restore(saved)
        else:
            with pytest.raises(InputError, match="BatchNorm took statistics of 4 images 1 × a step"):
                parts.restore(saved)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [("gpu3", "gpu3"), ("a1,b2", "a1"), ("gpu[003-005,9],x", "gpu003"), ("r[1-2]n[03,4]-ib", "r1n03-ib")],
)
def test_the_first_host_of_slurms_list(nodes, host):
    assert launch.first_host(nodes) == host


def test_sruns_variables_are_said_as_torchruns_and_only_in_a_step_of_several_tasks():
    step = {"SLURM_JOB_ID": "12345", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
    step |= {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "n[1-2]"}
    launch.adopt_slurm(step)
    assert (step["RANK"], step["LOCAL_RANK"], step["WORLD_SIZE"]) == ("3", "1", "4")
    assert (step["MASTER_ADDR"], step["MASTER_PORT"]) == ("n1", "22345")
    script = {"SLURM_JOB_ID": "12345", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    launch.adopt_slurm(script)
    assert "RANK" not in script


def test_two_processes_on_one_gpu_are_refused_on_both(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    board = dist.HashStore()
    gpus = ["H200 GPU-1", "H200 GPU-2", "H200 GPU-1"]
    for rank, gpu in enumerate(gpus):
        board.set(f"gpu/{rank}", gpu)
    for rank in (0, 2):
        monkeypatch.setenv("RANK", str(rank))
        with pytest.raises(InputError, match=r"processes 0 and 2 have the same GPU \(H200\); launch as many"):
            process_group.check_gpus(gpus[rank], board)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    process_group.check_gpus("H200 GPU-2", board)


ENDING = """
import atexit, os, torch
from segtrain.distributed import process_group
process_group.end_process(9)  # was in no group: returns
atexit.register(print, "exit handlers run")
with process_group.join(torch.device("cpu")):
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
    model(torch.ones(1, 2)).sum().backward()
print("trained")
class Late:
    def __del__(self): print("torn down", flush=True)
late = Late()
process_group.end_process(3)
"""


def test_a_process_of_a_group_ends_with_its_handlers_but_without_a_teardown():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    of_torchrun = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    environment = os.environ | of_torchrun
    done = subprocess.run([sys.executable, "-c", ENDING], env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines() == ["trained", "exit handlers run"]
