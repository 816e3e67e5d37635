"""Jobs on a real Slurm: two ranks by srun, a sweep, what is saved at a signal and at the time limit."""

import csv
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from segtrain.engine.checkpoint import load
from tests.conftest import TINY
from tests.slurm.cluster import wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STEPS = 40
RUN = [*TINY, "model=fcn32s", "batch_size=2", "device=cpu", "precision=32", "num_workers=1", "log_every=1"]
RUN += [f"max_steps={STEPS}", f"val_every={STEPS}", "checkpoint_every=1000", "resume=auto"]
SEGTRAIN = f"{sys.executable} -m segtrain"
LAST = "run/checkpoints/last.ckpt"


def segtrain(*arguments: str) -> str:
    return " ".join([SEGTRAIN, *RUN, "hydra.run.dir=run", *arguments])


def logged(folder: Path) -> list[dict]:
    path = folder / "run/metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def steps(folder: Path) -> list[int]:
    return [line["step"] for line in logged(folder) if line["split"] == "train"]


@pytest.fixture(scope="module")
def whole(cluster, tmp_path_factory):
    """A run of two ranks by srun that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    job = cluster.start("srun", "-n", "2", *segtrain().split(), cwd=folder)
    said = job.communicate(timeout=240)[0]
    assert job.returncode == 0, said
    return folder, said


def test_srun_makes_two_ranks_that_write_one_run(whole):
    folder, said = whole
    assert f"{STEPS} steps of 4 = " in said  # 2 ranks of 2
    assert said.count(" parameters · ") == 1
    assert steps(folder) == list(range(1, STEPS + 1))
    assert json.loads((folder / "run/metrics.json").read_text())["images"] == 3


def test_a_sweep_is_made_of_jobs(cluster, tmp_path):
    if find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        pytest.skip("needs hydra-submitit-launcher; do: make install EXTRAS=sweep")
    words = [*SEGTRAIN.split(), "-m", *RUN, "max_steps=2", "val_every=2", "resume=null", "seed=3,4"]
    words += ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug", "hydra.sweep.dir=sweep"]
    job = cluster.start(*words, cwd=tmp_path)
    said = job.communicate(timeout=240)[0]
    assert job.returncode == 0, said
    with open(tmp_path / "sweep/comparison.csv") as file:
        rows = list(csv.DictReader(file))
    seeds = re.findall(r"\bseed=\d", " ".join(row["overrides"] for row in rows))
    assert sorted(seeds) == ["seed=3", "seed=4"]
    assert all(float(row["mean_iou"]) > 0 for row in rows)
    assert len(list(tmp_path.glob("sweep/.submitit/*/*_0_log.out"))) == 2  # each in a job of its own


def test_a_requeued_job_ends_with_the_weights_of_one_that_was_not_interrupted(cluster, tmp_path, whole):
    script = f"srun {segtrain()}\ncode=$?; echo left with $code\n"
    script += "if [ $code = 143 ]; then scontrol requeue $SLURM_JOB_ID; fi\nexit $code"
    job = cluster.submit(script, tmp_path, "--ntasks=2", "--requeue")
    output = tmp_path / "job.txt"

    def said() -> str:
        return output.read_text() if output.exists() else ""

    wait_until(lambda: len(steps(tmp_path)) >= 3, said)
    cluster.command("scancel", "--signal=USR1", f"{job}.0")  # as --signal=USR1@90 sends it
    wait_until(lambda: "left with 143" in said(), said)
    assert said().count("stopped by SIGUSR1 at step") == 1
    wait_until(lambda: "Reason=BeginTime" in cluster.command("scontrol", "show", "job", job), said)
    cluster.command("scontrol", "update", f"jobid={job}", "starttime=now")  # not in two minutes
    wait_until(lambda: cluster.state(job) == "COMPLETED", said)
    assert "left with 0" in said()
    saved = load(tmp_path / LAST)
    wanted = load(whole[0] / LAST)
    assert saved.meta["step"] == wanted.meta["step"] == STEPS
    assert all(torch.equal(saved.tensors[name], tensor) for name, tensor in wanted.tensors.items())
    assert steps(tmp_path) == list(range(1, STEPS + 1))


def test_at_the_time_limit_the_run_is_saved_and_can_be_resumed(cluster, tmp_path):
    job = cluster.submit(f"srun {segtrain('max_steps=1000000')}", tmp_path, "--ntasks=2", "--time=1")
    output = tmp_path / "job.txt"
    wait_until(lambda: cluster.state(job) in ("TIMEOUT", "FAILED"), lambda: output.read_text()[-3000:])
    assert cluster.state(job) == "TIMEOUT"
    wait_until(lambda: "stopped by SIGTERM at step" in output.read_text(), output.read_text)
    step = load(tmp_path / LAST).meta["step"]
    assert step == steps(tmp_path)[-1] > 10
    job = cluster.start("srun", "-n", "2", *segtrain(f"max_steps={step + 2}").split(), cwd=tmp_path)
    said = job.communicate(timeout=240)[0]
    assert job.returncode == 0, said
    assert f"at step {step}" in said
    assert steps(tmp_path)[-2:] == [step + 1, step + 2]
