"""`split=` of the commands that evaluate, and folds as one ensemble, never on what one of them trained on."""

import json

import numpy as np
import pytest
from PIL import Image

import segtrain
from segtrain.commands.paths import checkpoint_paths
from segtrain.data.datasets.shapes import draw_scene
from tests import miniatures
from tests.conftest import FAST

EVAL = ("num_workers=0", "device=cpu", "precision=32")
SMALL = ("model=segnet_basic", "width=0.0625")


def metrics(done) -> dict:
    assert done.code == 0, done.err
    return json.loads((done.folder / "metrics.json").read_text())


def refused(done, *words: str) -> None:
    assert done.code == 2, done.out + done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("seg")]
    for word in words:
        assert word in line


def test_a_split_is_chosen_and_said(tiny, run):
    trained = tiny(*SMALL, "data.test_images=5")
    of_val = metrics(trained)
    assert (of_val["split"], of_val["images"]) == ("val", 3)
    done = run("segeval", f"ckpt={trained.folder}", "split=test", *EVAL)
    of_test = metrics(done)
    assert (of_test["split"], of_test["images"]) == ("test", 5)
    assert "5 images of the test split" in done.out
    rows = (done.folder / "images.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == [f"test_{i:05d}" for i in range(5)]
    result = segtrain.evaluate(str(trained.folder), split="test", num_workers=0, device="cpu", precision=32)
    assert (result.split, result.images) == ("test", 5)
    assert result.network.confusion_matrix == of_test["confusion_matrix"]
    pair = f"ckpt=[{trained.folder},{trained.folder}/checkpoints/last.ckpt]"
    compared = run("segeval", pair, "compare=true", "split=train", *EVAL)
    assert metrics(compared)["compared_with"]["split"] == "train"
    assert "2 of 2 checkpoints were trained on 8 of these 8 images" in compared.out


@pytest.mark.slow  # numba compiles the CRF
def test_tuned_on_validation_images_and_evaluated_on_a_split(tiny, run):
    trained = tiny(*SMALL, "data.test_images=2")
    ranges = "crf_ranges={bilateral: {compat: [3], sxy: [25], srgb: [3, 6]}}"
    chosen = run("segeval", f"ckpt={trained.folder}", "crf=true", "tune_crf=3", ranges, "split=test", *EVAL)
    assert (metrics(chosen)["split"], metrics(chosen)["tuned_crf"]["images"]) == ("test", 3)
    assert "3 of the validation images chose the parameters" in chosen.out


def test_a_data_set_without_a_test_split_says_so(run, tmp_path):
    given = ["data=camvid", *miniatures.camvid(tmp_path / "camvid")]
    done = run("segdata", *given, "action=preview", "split=test")
    refused(done, "split=test: no", "test.txt; there are train and val")
    refused(run("segeval", "ckpt=RUN", "split=tset"), "split=tset; give train or val or test")


def test_folds_are_one_ensemble_on_images_that_no_fold_has_and_on_no_other(run, tmp_path):
    root = tmp_path / "scans"
    for name in "abcdefgh":
        miniatures.write_pair(root / f"images/{name}.png", root / f"masks/{name}.png")
    (root / "held.txt").write_text("g\nh\n")
    given = ["data=folder", f"data.root={root}", "data.test_split=held", "data.folds=2"]
    sweep = run("segtrain", "-m", *given, *SMALL, *FAST, "data.fold=range(0,2)")
    assert sweep.code == 0, sweep.err
    command = f"segeval ckpt={sweep.folder.relative_to(tmp_path)} split=test"
    assert f"on images that no fold has: {command}" in sweep.out
    assert f"segpredict ckpt={sweep.folder.relative_to(tmp_path)} input=IMAGES" in sweep.out
    whole = metrics(run(*command.split(), *EVAL))
    assert (whole["split"], whole["images"]) == ("test", 2)
    runs = [f"{sweep.folder}/{i}" for i in range(2)]
    assert checkpoint_paths(str(sweep.folder)) == runs
    pattern = {"A": f"{sweep.folder}/*/checkpoints/best.ckpt", "B": runs[1]}
    assert checkpoint_paths(pattern) == [*(f"{run}/checkpoints/best.ckpt" for run in runs), runs[1]]
    done = run("segpredict", f"ckpt={sweep.folder}", f"input={tmp_path}/scans/images/g.png")
    assert done.code == 0, done.err
    with Image.open(done.folder / "labels/g.png") as labels:
        assert labels.size == miniatures.SHAPE[::-1]
    done = run("segeval", f"ckpt={sweep.folder}", *EVAL)
    refused(done, "split=val: 1 of 2 checkpoints were trained on 3 of these 3 images", "split=test")
    other = run("segeval", f"ckpt={sweep.folder}/0", "data.fold=1", *EVAL)
    assert other.code == 0, other.err
    assert "this checkpoint was trained on 3 of these 3 images" in other.out


def test_what_two_splits_share_is_checked(run, tmp_path):
    root = tmp_path / "scans"
    lists = {"train": ["a1", "b1", "c1"], "val": ["a2", "d1"], "test": ["e1", "c2"]}
    for split, names in lists.items():
        for i, name in enumerate(names):
            (root / "images").mkdir(parents=True, exist_ok=True)
            (root / "masks").mkdir(exist_ok=True)
            image, mask = draw_scene(np.random.default_rng([*name.encode()]), 64)
            if name == "e1":  # d1 again, compressed
                image, mask = draw_scene(np.random.default_rng([*b"d1"]), 64)
            Image.fromarray(image).save(root / f"images/{name}.jpg", quality=60 + i)
            Image.fromarray(mask).save(root / f"masks/{name}.png")
        (root / f"{split}.txt").write_text("\n".join(names))
    given = ["data=folder", f"data.root={root}", "data.num_classes=7", "data.train_split=train"]
    given += ["data.val_split=val", "data.test_split=test", "accept=[unseen]"]
    done = run("segdata", *given)
    assert done.code == 0, done.err
    assert "3 in train, 2 in val and 2 in test" in " ".join(done.out.split())
    assert "1 of 2 images in test look like one in val (no fault" in done.out
    (alike,) = json.loads((done.folder / "check.json").read_text())["alike"]
    assert [alike[key][-6:] for key in ("where", "other")] == ["e1.jpg", "d1.jpg"]
    grouped = run("segdata", *given, r"data.group=^[a-z](?=\d)")
    refused(grouped, "data=folder: 1 fault;")
    assert (
        "1 groups are in both of the data set's own splits, not in these (a: 1 images in train" in grouped.out
    )
    assert "groups of data.group that are in two splits: 1 (group)" in grouped.out
    accepted = run("segdata", *given, r"data.group=^[a-z](?=\d)", "accept=[unseen,group]")
    assert accepted.code == 0, accepted.err
