"""Two processes on the CPU (gloo) against one: the same gradients, the same figures."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from segtrain.engine import distributed
from segtrain.engine.report import Report
from tests.engine.test_evaluate import CPU, NAMES, Pictures, Settings, evaluate, predictor
from tests.engine.test_train import do, make_run, weights

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def work(rank: int, port: int, folder: str) -> None:
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost"}
    os.environ.update({k: str(v) for k, v in environment.items()}, MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with distributed.group(torch.device("cpu")):
        run = make_run(batch_size=2, max_steps=3)
        run.model.dropout.p = 0.0
        do(run, Path(folder, str(rank)))
        report = Report(NAMES, PALETTE)
        figures = evaluate(predictor(2), Pictures(), NAMES, CPU.device, Settings(), watch=report.watch)
        report.gather()
        names = [line.name for line in report.lines], [row.name for row in report.extremes.rows]
        torch.save((weights(run), figures["confusion_matrix"], names), f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    mp.spawn(work, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_two_ranks_make_the_steps_of_one_process_though_void_is_uneven(ranks, tmp_path):
    alone = make_run(batch_size=4, max_steps=3)
    alone.model.dropout.p = 0.0
    do(alone, tmp_path)
    assert torch.equal(ranks[0][0], ranks[1][0])
    assert torch.allclose(ranks[0][0], weights(alone), rtol=1e-5, atol=1e-7)


def test_two_ranks_count_the_pixels_of_one_process(ranks):
    alone = evaluate(predictor(2), Pictures(), NAMES, CPU.device, Settings())["confusion_matrix"]
    assert ranks[0][1] == ranks[1][1] == alone


def test_every_rank_knows_every_picture_in_the_order_of_the_split(ranks):
    for rank in ranks:
        lines, extremes = rank[2]
        assert lines == ["0", "1", "2"]
        assert sorted(extremes) == lines
