"""A run all of whose processes are asked to stop, its loaders among them, as clusters and Ctrl-C ask."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segtrain.engine.checkpoint import load
from tests.conftest import TINY


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_group_stops_after_saving_though_loaders_get_the_signal_too(tmp_path, number, code):
    arguments = [*TINY, "batch_size=2", "num_workers=2", "device=cpu", "max_steps=100000", "log_every=1"]
    run = subprocess.Popen(
        [sys.executable, "-m", "segtrain", *arguments, f"hydra.run.dir={tmp_path}/run"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    lines = tmp_path / "run/metrics.jsonl"
    deadline = time.monotonic() + 180
    while not (lines.is_file() and lines.read_text().count("\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, number)
    error = run.communicate(timeout=180)[1]
    assert run.returncode == code, error
    assert error.startswith(f"segtrain: stopped by {number.name} at step")
    saved = load(tmp_path / "run/checkpoints/last.ckpt")
    assert f"at step {saved.meta['step']}," in error
