"""The dense CRF's own switches: `tune_crf` of segeval and `steps` of segpredict."""

import csv
import json

import numpy as np
import pytest
import yaml
from PIL import Image

EVAL = ["num_workers=0", "device=cpu", "precision=32"]
RANGES = [
    "crf_ranges.bilateral.sxy=[10,40]",
    "crf_ranges.bilateral.compat=null",
    "crf_ranges.bilateral.srgb=null",
]


def test_the_best_parameters_are_an_option_of_dense_crf(tiny, run):
    ckpt = f"ckpt={tiny().folder}"
    done = run("segeval", ckpt, "crf=true", "tune_crf=2", *RANGES, *EVAL)
    assert done.code == 0, done.err
    metrics = json.loads((done.folder / "metrics.json").read_text())
    with open(done.folder / "trials.csv") as file:
        trials = list(csv.DictReader(file))
    assert {"10", "40"} <= {trial["bilateral.sxy"] for trial in trials}
    best = max(trials, key=lambda trial: float(trial["mean_iou"]))
    assert metrics["tuned_crf"]["images"] == 2
    assert metrics["tuned_crf"]["mean_iou"] == float(best["mean_iou"])
    tuned = yaml.safe_load((done.folder / "dense_crf/tuned.yaml").read_text())
    assert tuned["bilateral"] == {"sxy": float(best["bilateral.sxy"]), "srgb": 13, "compat": 10}
    assert "gain" in done.out
    assert f"--config-dir {done.folder.name} ckpt=... crf=true dense_crf=tuned" in done.out
    again = run("segeval", "--config-dir", str(done.folder), ckpt, "crf=true", "dense_crf=tuned", *EVAL)
    assert again.code == 0, again.err
    assert json.loads((again.folder / "metrics.json").read_text())["mean_iou"] == metrics["mean_iou"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune_crf=2"], "add crf=true"),
        (["tune_crf=-1"], "tune_crf=-1; give at least 0"),
        (
            ["crf=true", "tune_crf=2", "crf_ranges.bilateral.sxy=[5,3]"],
            "crf_ranges.bilateral.sxy must be numbers above 0 that ascend, got [5, 3]",
        ),
        (
            ["crf=true", "tune_crf=2", "crf_ranges.bilateral.sxy=wide"],
            "crf_ranges.bilateral.sxy must be a list of numbers, got 'wide'",
        ),
        (
            ["crf=true", "tune_crf=2", "+crf_ranges.bilateral.sx=[5]"],
            "dense_crf.bilateral.sx must be a number, got None",
        ),
        (["crf=true", "tune_crf=2", "dense_crf.bilateral=null"], "crf_ranges.bilateral.compat=null"),
    ],
)
def test_what_cannot_be_tuned_is_named(tiny, run, arguments, words):
    done = run("segeval", f"ckpt={tiny().folder}", *arguments, *EVAL)
    assert done.code == 2
    assert words in done.err


def test_the_steps_of_the_crf_are_drawn_beside_the_image(tiny, run, tmp_path):
    Image.effect_noise((40, 33), 60).convert("RGB").save(tmp_path / "a.png")
    arguments = [f"ckpt={tiny().folder}", f"input={tmp_path / 'a.png'}", "device=cpu", "precision=32"]
    done = run("segpredict", *arguments, "crf=true", "steps=true")
    assert done.code == 0, done.err
    with Image.open(done.folder / "steps/a.png") as panel:
        assert panel.width > 3 * 40
        drawn = np.asarray(panel)
    with Image.open(tmp_path / "a.png") as image:
        first = len(drawn) - (14 + 33) - 33  # of the upper of two rows of panels
        assert np.array_equal(drawn[first : first + 33, :40], np.asarray(image))
    without = run("segpredict", *arguments, "steps=true")
    assert without.code == 2
    assert "steps=true needs a CRF; add crf=true" in without.err
