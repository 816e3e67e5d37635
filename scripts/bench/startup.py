"""How long the commands take until something is to be seen, beside importing what they are made of.

Medians of runs that take turns, each in a process of its own; the processor's seconds with --cpu, which
a busy machine lengthens less.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import row, times

PEER = """
import torch, torchvision
net = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=7)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
images, labels = torch.rand(12, 3, 96, 96), torch.randint(0, 7, (12, 96, 96))
torch.nn.functional.cross_entropy(net(images)["out"], labels).backward()
optimizer.step()
"""
PEERS = "torch and torchvision imported, DeepLab v3 built, one step of 12×96×96"
IMPORT = [sys.executable, "-c", "import torch"]
SEGTRAIN = [sys.executable, "-m", "segtrain"]


def seconds(command: list[str], *, cpu: bool, until: Callable[[], bool] | None = None) -> float:
    """How long a process runs by itself, or until something is true."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while until is not None and not until() and process.poll() is None:
            time.sleep(0.005)
        wall = time.perf_counter() - start
    finally:  # nothing goes on where this is interrupted
        if until is not None:
            os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and until is None:
        raise RuntimeError(f"{command} left with {process.returncode}")
    if until is None:
        wall = time.perf_counter() - start
    return usage.ru_utime + usage.ru_stime if cpu else wall


def first_step(cpu: bool, *keys: str) -> float:
    """Of `segtrain` on `shapes` until its first optimizer step is logged."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "metrics.jsonl")
        command = [*SEGTRAIN, f"hydra.run.dir={folder}", "log_every=1", "device=cpu", *keys]
        return seconds(command, cpu=cpu, until=lambda: log.exists() and log.stat().st_size > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="the processor's seconds")
    arguments = parser.parse_args()
    cpu, repetitions = arguments.cpu, arguments.repetitions
    arms: dict[str, Callable[[], float]] = {
        "torch": lambda: seconds(IMPORT, cpu=cpu),
        "help": lambda: seconds([*SEGTRAIN, "--help"], cpu=cpu),
        "config": lambda: seconds([*SEGTRAIN, "--cfg", "job"], cpu=cpu),
        "peer": lambda: seconds([sys.executable, "-c", PEER], cpu=cpu),
        "step": lambda: first_step(cpu),
        "same": lambda: first_step(cpu, "model=deeplabv3_torchvision"),
    }
    runs = [{name: run() for name, run in arms.items()} for _ in range(repetitions + 1)][1:]
    took = {name: statistics.median(run[name] for run in runs) for name in arms}
    kind = " of processor" if cpu else ""
    for command, name, peer, against, wanted in (
        ("`segtrain --help`", "help", "torch", "importing torch", "≤ 0.3 ×"),
        ("`segtrain --cfg job`", "config", "torch", "importing torch", "≤ 0.3 ×"),
        ("first step of `segtrain` on `shapes`: FCN-8s", "step", "peer", PEERS, "≤ 0.9 ×"),
        ("the same with `model=deeplabv3_torchvision`", "same", "peer", PEERS, "reported"),
    ):  # fmt: skip
        details = f"{took[name]:.2f} s for {took[peer]:.2f} s{kind}"
        row(command, against, times(took[name] / took[peer]), wanted, details)


if __name__ == "__main__":
    main()
