"""Every logger gets the config, the values, the images and the results; a resumed run continues its own."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from segtrain.contracts import RunInfo
from segtrain.errors import InputError
from segtrain.loggers.jsonl import JSONL
from segtrain.loggers.run_log import RunLog
from segtrain.loggers.tensorboard import TensorBoard

IMAGE = np.zeros((8, 8, 3), np.uint8)


def needs(package: str):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"make install EXTRAS={package}")


def log(logger, folder: Path, step: int, value: float) -> None:
    """A run that logs one step and ends."""
    folder.mkdir(parents=True, exist_ok=True)
    logger.start(RunInfo(folder, "train", {"seed": 0, "model": {"stride": 8}}, step - 1))
    logger.log_scalars(step, "train", {"loss": value, "undefined": None})
    logger.log_image(step, "val/0_a", IMAGE)
    logger.log_hyperparameters({"model": "fcn8s"}, {"mean_iou": 0.5})
    logger.flush()
    logger.close()


class Recorder:
    """A logger of one's own: no base class, only the methods."""

    def __init__(self):
        self.calls = []

    def start(self, run):
        self.calls.append(("start", run.step))

    def log_scalars(self, step, split, values):
        self.calls.append((split, step, dict(values)))

    def log_image(self, step, name, image):
        self.calls.append((name, step))

    def log_hyperparameters(self, values, results):
        self.calls.append(("results", dict(results)))

    def flush(self):
        self.calls.append(("flush",))

    def close(self):
        self.calls.append(("close",))


def test_what_a_run_logs_reaches_every_logger_once(tmp_path):
    one, other = Recorder(), Recorder()
    with RunLog(tmp_path, "train", loggers={"one": one, "other": other}) as run:
        run.start({}, 3)
        run.scalars(4, "train", {"loss": 1.0})
        run.image(4, "val/0_a", IMAGE)
        run.flush()
    assert one.calls == other.calls
    assert one.calls == [
        ("start", 3),
        ("train", 4, {"loss": 1.0}),
        ("val/0_a", 4),
        ("flush",),
        ("close",),
    ]


def test_a_resumed_run_logs_nothing_twice_and_later_steps_again(tmp_path):
    with RunLog(tmp_path, "train", loggers={"jsonl": JSONL()}) as run:
        run.start({})
        for step in (1, 2, 3):
            run.scalars(step, "train", {"loss": float(step)})
    with RunLog(tmp_path, "train", loggers={"jsonl": JSONL()}) as run:
        run.start({}, 2)
        for step in (2, 3):
            run.scalars(step, "train", {"loss": 10.0 * step})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_other_ranks_are_silent(tmp_path, capfd):
    recorder = Recorder()
    with RunLog(tmp_path / "run", "train", loggers={"one": recorder}, silent=True) as run:
        run.start({})
        run.say("hello")
        run.scalars(1, "train", {"loss": 1.0})
    assert recorder.calls == []
    assert not (tmp_path / "run").exists()
    assert "hello" not in capfd.readouterr().out


def test_the_others_are_closed_where_one_fails(tmp_path):
    class Failing(Recorder):
        def close(self):
            raise RuntimeError("the server is gone")

    good = Recorder()
    with pytest.raises(RuntimeError, match="server"):  # noqa: SIM117
        with RunLog(tmp_path, "train", loggers={"good": good, "bad": Failing()}) as run:
            run.start({})
    assert ("close",) in good.calls


def test_tensorboard_has_curves_images_and_results(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log(TensorBoard(), tmp_path, 1, 0.7)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars("train/loss")[0].value == pytest.approx(0.7)
    assert "train/undefined" not in events.Tags()["scalars"]
    assert events.Tags()["images"] == ["val/0_a"]
    assert events.Scalars("hparam/mean_iou")[0].value == 0.5


@needs("mlflow")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what it imports itself
def test_mlflow_has_all_of_it_and_continues_a_run(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    from mlflow.tracking import MlflowClient

    from segtrain.loggers.mlflow import MLflow

    monkeypatch.chdir(tmp_path)
    for step, value in ((1, 0.7), (2, 0.6)):
        log(MLflow(), tmp_path / "outputs/a/run", step, value)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("segtrain").experiment_id])
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in history] == [(1, 0.7), (2, 0.6)]
    assert run.data.params["model.stride"] == "8"
    assert run.data.metrics["mean_iou"] == 0.5
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a/run")
    assert client.list_artifacts(run.info.run_id, "images")


@needs("wandb")
def test_wandb_writes_offline_and_continues_a_run(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    from segtrain.loggers.wandb import WandB

    for step, value in ((1, 0.7), (2, 0.6)):
        log(WandB(), tmp_path / "run", step, value)
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    run_id = (tmp_path / "run/wandb_run_id.txt").read_text()
    folders = list((tmp_path / "run/wandb").glob("offline-run-*"))
    assert folders
    assert all(folder.name.endswith(run_id) for folder in folders)
    assert sum(path.stat().st_size for folder in folders for path in folder.glob("*.wandb")) > 0


@needs("trackio")
def test_trackio_has_the_values_and_continues_a_run(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from segtrain.loggers.trackio import Trackio;"
        "from tests.loggers.test_loggers import log; log(Trackio(), Path(sys.argv[1]), int(sys.argv[2]), 0.5)"
    )
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")}
    for step in ("1", "2"):
        command = [sys.executable, "-c", code, str(tmp_path / "a/run"), step]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert list((tmp_path / "trackio").rglob("*.db"))


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_missing_package_is_answered_with_the_command_that_installs_it(name, monkeypatch):
    import importlib

    module = importlib.import_module(f"segtrain.loggers.{name}")
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    (logger,) = (v for k, v in vars(module).items() if k.lower() == name)
    with pytest.raises(InputError, match=f"make install EXTRAS={name}"):
        logger()
