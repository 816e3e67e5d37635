"""Sweeps through Hydra's plugins (`segtrain[sweep]`), each where it is installed."""

import csv
from importlib.util import find_spec

import pytest
import yaml
from omegaconf import OmegaConf

from segtrain.cli.sweep import Comparison
from tests.conftest import FAST, TINY

SWEEP = ["-m", *TINY, *FAST, "num_workers=1", "model=fcn32s"]


def needs(*plugins: str):
    some = find_spec("hydra_plugins") is not None
    missing = [name for name in plugins if not (some and find_spec(f"hydra_plugins.{name}"))]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)}: make install EXTRAS=sweep")


def comparison(done):
    with open(done.folder / "comparison.csv") as file:
        return list(csv.DictReader(file))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("joblib", marks=needs("hydra_joblib_launcher")),
        pytest.param("submitit_local", marks=needs("hydra_submitit_launcher")),
    ],
)
def test_runs_launched_elsewhere_are_compared_and_a_failed_one_is_in_the_exit_code(run, launcher):
    done = run("segtrain", *SWEEP, f"hydra/launcher={launcher}", "optimizer.lr=0.01,wrong")
    assert done.code == 2, done.err
    assert "1 of 2 runs failed, run 1: optimizer.lr=wrong" in done.err
    good, bad = comparison(done)
    assert float(good["mean_iou"]) > 0
    assert "optimizer.lr=wrong" in bad["error"]
    assert (done.folder / "0/checkpoints/best.ckpt").is_file()


@pytest.mark.filterwarnings("ignore")
@needs("hydra_optuna_sweeper")
def test_optuna_looks_for_the_largest_mean_iou_and_a_diverged_run_is_the_worst(run):
    rates = ["optimizer.lr=choice(1e-3,1e30)", "optimizer=sgd", "clip_norm=0", "max_steps=4"]
    optuna = ["hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=1"]
    done = run("segtrain", *SWEEP, *optuna, *rates)
    assert done.code == 3, done.err
    good, bad = comparison(done)
    assert "the loss is" in bad["error"]
    best = yaml.safe_load((done.folder / "optimization_results.yaml").read_text())
    assert best["best_value"] == pytest.approx(float(good["mean_iou"]))
    assert best["best_params"]["optimizer.lr"] == 0.001


def test_a_sweeper_that_optimises_looks_for_the_largest_metric():
    config = OmegaConf.create({"hydra": {"sweeper": {"direction": "minimize"}}})
    OmegaConf.set_readonly(config.hydra, True)  # as the callback that makes the folders leaves it
    Comparison().on_multirun_start(config)
    assert config.hydra.sweeper.direction == "maximize"


def test_a_sweep_whose_name_is_taken_makes_its_runs_in_its_own_folder(monkeypatch, tmp_path, capfd):
    from segtrain.cli import entry, folders

    taken = folders.new_folder
    monkeypatch.setattr(folders, "new_folder", lambda path: taken(path.with_name("own")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["segtrain", *SWEEP, "max_steps=1", "logger=[jsonl]", "seed=0,1"])
    entry.segtrain()
    configs = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("config.yaml"))
    assert [str(path.parent.parent) for path in configs] == ["outputs/multirun/own"] * 2
    assert (tmp_path / "outputs/multirun/own/comparison.csv").is_file()
    assert len(list((tmp_path / "outputs/multirun").iterdir())) == 1


def test_a_sweep_over_models_with_and_without_a_backbone_makes_the_runs_that_can_be(run):
    sweep = ["-m", *TINY, *FAST, "max_steps=1", "model=fcn32s,unet", "model/backbone=vgg16_bn"]
    done = run("segtrain", *sweep)
    assert done.code == 2
    assert "1 of 2 runs failed, run 1: model/backbone: UNet takes no backbone" in done.err
    good, bad = comparison(done)
    assert float(good["mean_iou"]) > 0
    assert "takes no backbone" in bad["error"]
