"""`lr_find`, `debug` and `batch_size=auto` as a user calls them."""

import json
from inspect import getattr_static
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from segtrain.commands import batch_size
from segtrain.commands.batch_size import _estimate, _search
from segtrain.commands.debug import Limited, advice_for
from segtrain.commands.lr_find import end_of_curve
from segtrain.data.datasets.shapes import Shapes
from segtrain.engine import checkpoint
from segtrain.engine.rate_range import RateTest
from tests.conftest import FAST, TINY
from tests.miniatures import write_pair


def names(done):
    return {path.name for path in done.folder.rglob("*") if path.is_file()}


def test_a_rate_is_proposed_and_nothing_is_kept(tiny, monkeypatch):
    monkeypatch.setattr("segtrain.engine.rate_range.STEPS", 25)
    done = tiny("lr_find=true", "batch_size=4")
    assert done.code == 0, done.err
    assert names(done) == {"config.yaml", "train.log", "lr_find.json", "lr_find.png"}
    values = json.loads((done.folder / "lr_find.json").read_text())
    assert values["optimizer.lr"] == 3e-4
    assert len(values["rates"]) == len(values["losses"]) == len(values["smoothed"]) > 10
    assert f"optimizer.lr={values['suggested']:.2g} is proposed (it is 0.0003 now)" in done.out
    with Image.open(done.folder / "lr_find.png") as curve:
        assert curve.size == (990, 594)


@pytest.mark.parametrize(
    ("losses", "diverged", "words"),
    [
        ([2, 1, 1, 5], True, "diverges at 10"),
        ([2, 1, 3, 1, 3, 4], False, "is above its start from 1 on"),  # of 1e-4 to 10
        ([1, 2, 3], False, "is above its start from 1 on"),
        ([2, 1, 3, 2], False, "ends no higher than it began, at 10"),
        ([1, 1], False, "ends no higher than it began, at 10"),
    ],
)
def test_the_end_of_the_curve_is_said_as_it_is(losses, diverged, words):
    rates = [10.0**i for i in range(2 - len(losses), 2)]
    assert end_of_curve(RateTest(rates, losses, losses, 1e-3, None, diverged)) == words


@pytest.mark.parametrize("key", ["lr_find=true", "debug=limit"])
def test_the_folder_of_a_run_is_left_alone(tiny, tmp_path, key):
    (tmp_path / "real/checkpoints").mkdir(parents=True)
    done = tiny(key, "resume=auto", f"hydra.run.dir={tmp_path}/real")
    assert done.code == 2
    assert f"holds another run, which {key} would change" in done.err
    assert not (tmp_path / "real/config.yaml").exists()


def test_a_batch_is_learned_by_heart(tiny, monkeypatch):
    monkeypatch.setattr("segtrain.commands.debug.LEARNED", 1.5)
    done = tiny("debug=overfit", "max_steps=40", "optimizer.lr=3e-3", "model=unet", "model.batch_norm=true")
    assert done.code == 0, done.err
    assert "debug=overfit: 2 images are known by heart after" in done.out
    assert names(done) == {"config.yaml", "train.log"}


def test_a_batch_that_is_not_learned_is_a_failure_with_advice(tiny):
    done = tiny("debug=overfit", "max_steps=2", "optimizer.lr=1e-9")
    assert done.code == 3
    assert "after 2 steps, not below 0.05 (at first" in done.err
    assert "nothing was learned: look at optimizer.lr" in done.err


@pytest.mark.parametrize(
    ("losses", "smoothing", "outputs", "advice"),
    [
        ([2.0, 0.5], 0.1, {"out"}, "label_smoothing=0"),
        ([2.0, 0.5], 0.0, {"out", "aux"}, "loss=cross_entropy"),
        ([2.0, 0.2, 0.6], 0.0, {"out"}, "lower optimizer.lr"),
        ([2.0, 0.2], 0.0, {"out"}, "max_steps=2000"),
    ],
)
def test_the_advice_follows_the_losses(losses, smoothing, outputs, advice):
    term = SimpleNamespace(label_smoothing=smoothing)
    loss = SimpleNamespace(losses=[term], names=["cross_entropy"], output_names=outputs)
    assert advice in advice_for(losses, SimpleNamespace(loss=loss))


def test_a_few_batches_go_through_everything(run, tmp_path):
    for i in range(30):
        write_pair(tmp_path / f"photos/images/{i}.png", tmp_path / f"photos/masks/{i}.png")
    keys = ["data=folder", f"data.root={tmp_path}/photos", "data.num_classes=2", "width=0.0625"]
    done = run(
        "segtrain", *keys, *(key for key in FAST if "max_steps" not in key), "debug=limit", "plots=true"
    )
    assert done.code == 0, done.err
    assert "8 images to train on, 8 to validate · 8 steps of 2" in done.out
    assert {"best.ckpt", "last.ckpt", "results.png", "val_batch.jpg"} <= names(done)
    lines = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "val"] == [4, 8]


def test_a_few_batches_of_a_data_set_offer_what_it_offers():
    data = Shapes(size=32, train_images=4, val_images=2)
    data.extra_metrics = ["dice"]
    few = Limited(data, 2, 2)
    assert (len(few.train), few.class_names) == (2, data.class_names)
    assert getattr_static(few, "extra_metrics") == ["dice"]


def test_the_batch_that_is_found_gives_the_run_of_that_number(run):
    keys = [key for key in (*TINY, *FAST) if not key.startswith(("batch_size", "max_steps"))]
    found = run("segtrain", *keys, "batch_size=auto", "max_steps=1")
    assert found.code == 0, found.err
    chosen = "batch_size=2: chosen by steps of this model on cpu, an epoch of 8 images should have 4 steps"
    assert chosen in found.out
    given = run("segtrain", *keys, "batch_size=2", "max_steps=1")
    one, other = (checkpoint.load(each.folder / "checkpoints/last.ckpt") for each in (found, given))
    assert one.meta["training"]["batch_size"] == 2
    assert all(one.tensors[name].equal(other.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize(
    ("peaks", "most", "found"), [((100, 110), 32, 6), ((100, 100), 9, 9), ((100, 900), 32, 4)]
)
def test_less_memory_gives_smaller_batches(monkeypatch, peaks, most, found):
    monkeypatch.setattr(batch_size, "available_memory", lambda: 20)
    monkeypatch.setattr(batch_size, "forget_peak", lambda: None)
    monkeypatch.setattr(batch_size, "peak_memory", iter(peaks).__next__)
    assert _estimate(SimpleNamespace(steps=lambda _: None), most) == found


@pytest.mark.parametrize(
    ("most", "largest", "found"), [(256, 100, range(89, 101)), (5, 100, [5]), (256, 1, [1])]
)
def test_a_gpus_batch_is_searched(most, largest, found):
    tried = []
    assert _search(lambda images: tried.append(images) or images <= largest, most) in found
    assert len(tried) <= 12
    assert _search(lambda _: False, most) is None


def test_an_evaluation_searches_nothing(run):
    done = run("segeval", "ckpt=none.ckpt", "batch_size=auto")
    assert done.code == 2
    assert "batch_size=auto: the size of a training alone is searched" in done.err


@pytest.mark.gpu
def test_a_batch_that_fits_into_a_gpu(run, cuda):
    keys = ["model=unet", "data.size=256", "data.train_images=4096", "device=cuda", "max_steps=2"]
    torch.cuda.set_per_process_memory_fraction(0.05)
    try:
        done = run("segtrain", *keys, "batch_size=auto")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert done.code == 0, done.err
    assert "more do not fit" in done.out
