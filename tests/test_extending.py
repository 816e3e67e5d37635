"""One's own metric, loss, logger and data set: a package outside, its YAMLs, and no file of ours changed."""

import json
import subprocess
import sys

import pytest

from tests.conftest import FAST

PACKAGE = '''
"""Somebody's extensions."""

import numpy as np
import torch

from segtrain.contracts import Sample


class Squares:
    """Bright squares on dark ground."""

    class_names = ("ground", "square")
    palette = ((0, 0, 0), (255, 255, 255))

    def __init__(self, *, count: int, num_classes: int = 2):
        self.train = self.val = SquaresSplit(count)


class SquaresSplit:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 4 + index : 16 + index] = 1
        return Sample(np.repeat(mask[..., None] * 200, 3, 2), mask, f"square{index}")


class Largest:
    """The largest confidence that was seen."""

    def __init__(self, *, scale: float = 1.0):
        self.sums, self.scale = torch.zeros(1), scale

    def update(self, sample, labels, confidence):
        self.sums += float(confidence.max()) * self.scale

    def compute(self, sums):
        return {"largest": sums.item()}


class Flat:
    """A loss of the logits' size alone; no module, no parameters."""

    weights = {"out": 1.0}

    def __call__(self, outputs, masks):
        return outputs["out"].square().mean((1, 2, 3)).sum()

    def count(self, masks):
        return torch.full((), len(masks), dtype=torch.float32)


class Lines:
    """Writes what is logged into a file."""

    def __init__(self, *, name: str):
        self.name = name

    def start(self, run):
        self.file = open(run.folder / self.name, "w")
        print("start", run.config["batch_size"], file=self.file)

    def log_scalars(self, step, split, values):
        print(split, step, *values, file=self.file)

    def log_image(self, step, name, image):
        print("image", step, image.shape, file=self.file)

    def log_hyperparameters(self, values, results):
        print("results", *results, file=self.file)

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()
'''
YAMLS = {
    "data/squares": "_target_: theirs.Squares\ncount: 4\nnum_classes: 2\n",
    "metric/largest": "largest:\n  _target_: theirs.Largest\n  scale: 1.0\n",
    "loss/flat": "flat:\n  _target_: theirs.Flat\n  weight: 1.0\n",
    "logger/lines": "lines:\n  _target_: theirs.Lines\n  name: lines.txt\n",
}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A package on the path, and the folder with its YAMLs."""
    (tmp_path / "theirs.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in YAMLS.items():
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield ["--config-dir", str(tmp_path / "conf")]
    sys.modules.pop("theirs", None)


def test_ones_own_data_set_metric_loss_and_logger_are_options_like_ours(run, conf):
    options = ["data=squares", "metric=[largest,calibration]", "loss=[cross_entropy,flat]"]
    options += ["loss.flat.weight=0.1", "logger=[jsonl,lines]", "metric.largest.scale=2.0"]
    done = run("segtrain", *conf, *options, "width=0.0625", "log_every=1", *FAST)
    assert done.code == 0, done.err
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert set(metrics["per_class"]) == {"ground", "square"}
    assert 0 < metrics["largest"] <= 8
    assert "calibration_error" in metrics
    lines = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    first = lines[0]
    assert first["loss"] == pytest.approx(first["loss/cross_entropy"] + first["loss/flat"])
    assert lines[-1]["largest"] == metrics["largest"]
    text = (done.folder / "lines.txt").read_text()
    assert text.startswith("start 2\ntrain 1 loss")
    assert "val 2 " in text
    assert text.endswith("results mean_iou\n")


def test_they_evaluate_a_checkpoint_too(run, conf):
    trained = run("segtrain", *conf, "data=squares", "width=0.0625", *FAST).folder
    own = [f"ckpt={trained}", "trust=theirs", "metric=largest", "logger=[lines]"]
    done = run("segeval", *conf, *own, "device=cpu", "precision=32", "num_workers=0")
    assert done.code == 0, done.err
    assert json.loads((done.folder / "metrics.json").read_text())["largest"] > 0
    assert (done.folder / "lines.txt").is_file()


def test_another_hydra_application_finds_our_options(tmp_path):
    config = "hydra: {searchpath: ['pkg://segtrain.configs']}\ndefaults: [optimizer: adamw, _self_]\n"
    (tmp_path / "theirs.yaml").write_text(config)
    code = (
        "import hydra\n"
        "@hydra.main(version_base='1.3', config_path='.', config_name='theirs')\n"
        "def main(config): print('target', config.optimizer._target_)\n"
        "main()\n"
    )
    (tmp_path / "app.py").write_text(code)
    done = subprocess.run([sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True)
    assert "target segtrain.optim.adamw" in done.stdout
    assert "not available" not in done.stderr
