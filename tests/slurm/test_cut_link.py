"""Two nodes, which are network namespaces of this machine, whose link is cut in the middle of a training."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from segtrain.distributed.links import SILENCE
from segtrain.engine.checkpoint import load
from tests.slurm.cluster import wait_until
from tests.slurm.test_jobs import LAST, RUN, STEPS, logged, steps

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

NODES = ("segnode0", "segnode1")
ADDRESS = "10.213.7.{}"
ARGUMENTS = [*RUN, "checkpoint_every=1", "data.train_images=200", "hydra.run.dir=run"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def nodes() -> Iterator[None]:
    """The namespaces with a pair of virtual cards between them."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root on Linux and Debian's iproute2")
    try:
        for name in NODES:
            ip("netns", "add", name)
        pair = ["peer", "name", "segveth1", "netns", NODES[1]]
        ip("link", "add", "segveth0", "netns", NODES[0], "type", "veth", *pair)
    except subprocess.CalledProcessError as error:
        remove_nodes()
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        for i, name in enumerate(NODES):
            ip("-n", name, "addr", "add", f"{ADDRESS.format(i + 1)}/24", "dev", f"segveth{i}")
            ip("-n", name, "link", "set", "lo", "up")
        set_link("up")
        yield
    finally:
        remove_nodes()


def remove_nodes() -> None:
    for name in NODES:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def set_link(state: str) -> None:
    for i, name in enumerate(NODES):
        ip("-n", name, "link", "set", f"segveth{i}", state)


@contextmanager
def training(folder: Path) -> Iterator[list[subprocess.Popen]]:
    """torchrun on both nodes, which share the folder; node N prints into nodeN.txt."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += [f"--master-addr={ADDRESS.format(1)}", "--master-port=29517"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    started = []
    for i, name in enumerate(NODES):
        # gloo looks for the card of the machine's name, which is another namespace's
        own = {"GLOO_SOCKET_IFNAME": f"segveth{i}", "TP_SOCKET_IFNAME": f"segveth{i}"}
        with (folder / f"node{i}.txt").open("a") as output:
            words = ["ip", "netns", "exec", name, *torchrun, f"--node-rank={i}", "-m", "segtrain", *ARGUMENTS]
            started.append(
                subprocess.Popen(words, env=environment | own, cwd=folder, stdout=output, stderr=output)
            )
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
            process.wait(60)


def said(folder: Path) -> str:
    return "".join(f"\n{path.name}\n{path.read_text()[-2500:]}" for path in sorted(folder.glob("node?.txt")))


def finish(folder: Path) -> None:
    with training(folder) as started:
        for process in started:
            assert process.wait(240) == 0, said(folder)


def test_a_cut_link_ends_both_sides_and_the_run_can_be_resumed(nodes, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    finish(whole)
    cut.mkdir()
    with training(cut) as started:
        wait_until(lambda: len(logged(cut)) >= 5, lambda: said(cut))
        set_link("down")
        start = time.monotonic()
        for process in started:
            process.wait(3 * SILENCE)
        seconds = time.monotonic() - start
    assert seconds < 2.5 * SILENCE, said(cut)  # the store's connection and then gloo's
    for i in range(2):
        text = (cut / f"node{i}.txt").read_text()
        assert "another rank went away" in text, text
        assert "exitcode  : 5" in text, text
        assert "segtrain: Traceback" not in text
    assert load(cut / LAST).meta["step"] < STEPS
    set_link("up")
    finish(cut)
    saved, wanted = load(cut / LAST), load(whole / LAST)
    assert all(torch.equal(saved.tensors[name], tensor) for name, tensor in wanted.tensors.items())
    assert steps(cut) == list(range(1, STEPS + 1))
