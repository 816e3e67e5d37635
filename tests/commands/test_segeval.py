"""What `segeval` measures and leaves; nothing is mocked."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from segtrain.engine import checkpoint

EVAL = ["num_workers=0", "device=cpu", "precision=32"]


def metrics(done) -> dict:
    return json.loads((done.folder / "metrics.json").read_text())


def test_an_evaluation_leaves_images_matrix_sheet_and_intervals(tiny, run):
    done = run("segeval", f"ckpt={tiny().folder}", *EVAL)
    assert done.code == 0, done.err
    names = {path.name for path in done.folder.iterdir()}
    assert {"images.csv", "confusion_matrix.csv", "confusion_matrix.png", "contact_sheet.png"} <= names
    with open(done.folder / "images.csv") as file:
        assert len(list(csv.DictReader(file))) == 3
    found = metrics(done)
    low, high = found["mean_iou_interval"]
    assert low <= found["mean_iou"] <= high
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in done.out
    assert found["conventions"]["absent_skipped"] == found["mean_iou"]
    assert found["conventions"]["precision"] == "32"
    assert "precision: 32\n" in done.out
    assert found["per_class"]["background"].keys() == {"iou", "accuracy", "dice", "precision", "recall"}


def test_an_evaluation_says_in_which_precision_the_network_was_computed(tiny, run):
    trained = tiny("precision=bf16")
    assert metrics(trained)["conventions"]["precision"] == "bf16"
    said = "precision: bf16; for numbers to compare with a paper or to publish: precision=32"
    assert said in trained.out
    done = run("segeval", f"ckpt={trained.folder}", "device=cpu", "num_workers=0", "precision=bf16")
    assert metrics(done)["conventions"]["precision"] == "bf16"
    assert said in done.out
    assert said in (done.folder / "eval.log").read_text()


def test_more_metrics_are_measured_when_asked_for(tiny, run):
    trained = tiny().folder
    done = run("segeval", f"ckpt={trained}", "metric=[boundary,calibration]", *EVAL)
    assert done.code == 0, done.err
    found = metrics(done)
    assert found["trimap_mean_iou"].keys() == {"1", "2", "4", "8", "16", "32"}
    assert found["trimap_mean_iou"]["32"] == pytest.approx(found["mean_iou"])  # wider than the image
    assert 0 <= found["boundary_iou"] <= 1
    assert 0 <= found["bf_score"] <= 1
    assert 0 <= found["calibration_error"] <= 1
    assert "mean IoU within 4 px of a border" in done.out
    assert (done.folder / "trimap.png").is_file()
    assert "trimap_mean_iou" not in json.loads((trained / "metrics.json").read_text())


def test_an_unknown_metric_is_refused(tiny, run):
    done = run("segeval", f"ckpt={tiny().folder}", "metric=[boundry]", *EVAL)
    assert done.code == 2
    assert "metric=boundry: no such metric; did you mean metric=boundary?" in done.err


def test_neurites_are_for_cells_and_membrane_alone(run, tiny):
    done = run("segeval", f"ckpt={tiny().folder}", "metric=[neurites]", *EVAL)
    assert done.code == 2
    assert "metric=neurites: data must have 2 classes" in done.err


def test_a_checkpoint_cannot_be_separated_from_itself(tiny, run):
    trained = tiny().folder
    done = run("segeval", f"ckpt=[{trained},{trained}]", "compare=true", *EVAL)
    assert done.code == 0, done.err
    found = metrics(done)
    assert found["difference"].items() >= {"mean_iou": 0, "interval": [0, 0], "significant": False}.items()
    assert found["compared_with"]["mean_iou"] == found["mean_iou"]
    assert "no significant difference between checkpoints A and B: +0.0 [+0.0, +0.0]" in done.out


def test_two_checkpoints_are_evaluated_each_by_itself_and_compared(tiny, run):
    a, b = tiny("seed=0").folder, tiny("seed=1", "model=fcn32s").folder
    done = run("segeval", f"ckpt=[{a},{b}]", "compare=true", *EVAL)
    assert done.code == 0, done.err
    found, of_a, of_b = metrics(done), *(json.loads((path / "metrics.json").read_text()) for path in (a, b))
    assert found["mean_iou"] == pytest.approx(of_a["mean_iou"])
    assert found["compared_with"]["mean_iou"] == pytest.approx(of_b["mean_iou"])
    assert found["difference"]["mean_iou"] == pytest.approx(of_b["mean_iou"] - of_a["mean_iou"])
    for name in "AB":
        own = {path.name for path in (done.folder / name).iterdir()}
        assert {"metrics.json", "images.csv", "contact_sheet.png"} <= own
    with open(done.folder / "images.csv") as file:
        assert next(csv.reader(file)) == ["name", "mean_iou_A", "mean_iou_B"]
    assert found["parameters"] == of_a["parameters"]
    assert "cannot separate the models; give ckpt={A:[RUN,RUN],B:[RUN,RUN]}" in done.out


def other_seeds(folder, number):
    """As of trainings from other seeds: the best.ckpt with some noise, in so many files."""
    saved = checkpoint.load(folder / "checkpoints/best.ckpt")
    paths = [folder / f"seed{i}.ckpt" for i in range(number)]
    for i, path in enumerate(paths):
        torch.manual_seed(i)
        floats = {k: v for k, v in saved.tensors.items() if v.is_floating_point()}
        noisy = {k: v + 0.05 * v.std(correction=0) * torch.randn(v.shape) for k, v in floats.items()}
        checkpoint.save(saved._replace(tensors=saved.tensors | noisy), path)
    return paths


def test_groups_of_seeds_are_compared_as_models(tiny, run):
    a, b, c = other_seeds(tiny("model=fcn32s").folder, 3)
    d, e = other_seeds(tiny("model=segnet_basic").folder, 2)
    done = run("segeval", f"ckpt={{fcn:[{a},{b}],segnet:[{d},{e}],one:{c}}}", "compare=true", *EVAL)
    assert done.code == 0, done.err
    found = metrics(done)
    pairs = [(x["first"], x["second"], x["over_seeds"]) for x in found["differences"]]
    assert pairs == [("fcn", "segnet", True), ("fcn", "one", False), ("segnet", "one", False)]
    means = [np.mean([one["mean_iou"] for one in found["groups"][name]]) for name in ("fcn", "segnet")]
    assert found["differences"][0]["mean_iou"] == pytest.approx(means[1] - means[0])
    assert {path.name for path in done.folder.iterdir() if path.is_dir()} == {
        *("fcn_1", "fcn_2", "segnet_1", "segnet_2", "one")
    }
    assert "models fcn and segnet" in done.out or "model fcn is" in done.out or "model segnet is" in done.out
    for wrong, words in (
        (f"{{A:[{a},{d}],B:{b}}}", "is of another model"),
        (f"{{A:[{a},{a}],B:{b}}}", "is in it twice"),
        (f"{{A:[{a},{b}]}}", "needs two checkpoints"),
    ):
        refused = run("segeval", f"ckpt={wrong}", "compare=true", *EVAL)
        assert refused.code == 2
        assert words in refused.err
    assert "add compare=true" in run("segeval", f"ckpt={{A:{a},B:{b}}}", *EVAL).err


def test_a_comparison_wants_two_checkpoints(tiny, run):
    done = run("segeval", f"ckpt={tiny().folder}", "compare=true", *EVAL)
    assert done.code == 2
    assert "give ckpt=[A,B], or" in done.err


def test_forms_of_inference_are_keys_that_go_into_each_other(tiny, run, tmp_path):
    trained = tiny().folder
    windows = ["inference.base.window=16", "inference.base.stride=10"]
    annotated = np.sum(json.loads((trained / "metrics.json").read_text())["confusion_matrix"])
    for names, *keys in (
        (["Sliding"], "inference=sliding", "inference.window=16", "inference.stride=10"),
        (["MultiScale", "Sliding"], "inference=multi_scale", "inference@inference.base=sliding", *windows),
    ):
        done = run("segeval", f"ckpt={trained}", *keys, *EVAL)
        assert done.code == 0, done.err
        assert np.sum(metrics(done)["confusion_matrix"]) == annotated
        config = (done.folder / "config.yaml").read_text()
        assert all(f"segtrain.inference.{way}\n" in config for way in names)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "image.png")
    done = run(
        "segpredict",
        f"ckpt={trained}",
        f"input={tmp_path}/image.png",
        "inference=overlap_tile",
        "inference.tile=16",
        "device=cpu",
    )
    assert done.code == 0, done.err
    assert (done.folder / "labels/image.png").is_file()
