"""`segeval predictions=DIR`: another tool's label images under our metrics."""

import json

import numpy as np
import pytest
from PIL import Image

import segtrain
from segtrain.commands.stored_predictions import pair_predictions
from segtrain.errors import InputError
from tests import miniatures
from tests.conftest import FAST

EVAL = ("num_workers=0", "device=cpu", "precision=32")
SMALL = ("model=segnet_basic", "width=0.0625")
LISTS = ("data.train_split=train", "data.val_split=val", "data.test_split=test")


@pytest.fixture
def photos(tmp_path):
    """Two images to train on, three to validate, one in a folder of its own, and one to test; masks of two
    classes and an ignored pixel."""
    root = tmp_path / "photos"
    mask = miniatures.labels()
    mask[0, 0] = 255
    splits = {"train": ["a", "b"], "val": ["c", "d", "site/e"], "test": ["f"]}
    for split, names in splits.items():
        for name in names:
            miniatures.write_pair(root / f"images/{name}.png", root / f"masks/{name}.png", mask)
        (root / f"{split}.txt").write_text("\n".join(names))
    return ["data=folder", f"data.root={root}", *LISTS]


def write(folder, **labels) -> str:
    for name, values in labels.items():
        path = folder / f"{name.replace('_', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(path)
    return f"predictions={folder}"


def good() -> np.ndarray:
    return miniatures.labels()


def metrics(done) -> dict:
    assert done.code == 0, done.out + done.err
    return json.loads((done.folder / "metrics.json").read_text())


def refused(done, *words: str) -> None:
    assert done.code == 2, done.out + done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("segeval")]
    for word in words:
        assert word in line, line


def test_metrics_intervals_and_files_of_predictions(photos, run, tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("a network was built")

    monkeypatch.setattr("segtrain.commands.build.build_network", no_network)
    shifted, wild = np.roll(good(), 4, 1), good()
    wild[0, 0] = 77  # where the mask is ignored
    given = write(tmp_path / "theirs", c=shifted, d=wild, site_e=good())
    done = run("segeval", given, *photos, "metric=[boundary_iou]", *EVAL)
    found = metrics(done)
    # Both rectangles have 22 × 24 pixels, 20 columns in common; the ignored pixel counts for neither.
    object_iou = (22 * 20 + 2 * 22 * 24) / (22 * 28 + 2 * 22 * 24)
    assert found["per_class"]["1"]["iou"] == pytest.approx(object_iou)
    assert (found["split"], found["images"], found["conventions"]["precision"]) == ("val", 3, "stored")
    low, high = found["mean_iou_interval"]
    assert low < found["mean_iou"] < high <= 1
    assert found["boundary_iou"] < 1
    assert found["predictions"].endswith("theirs")
    assert "no network was run" in done.out
    assert "step 0" not in done.out
    names = [row.partition(",")[0] for row in (done.folder / "images.csv").read_text().splitlines()]
    assert names == ["name", "c", "d", "site/e"]
    for name in ("contact_sheet.png", "confusion_matrix.png", "image_counts.npz"):
        assert (done.folder / name).is_file()
    assert not (done.folder / "precision_recall.png").exists()


def test_python_evaluates_predictions_of_a_split(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "theirs", f=good())
    keys = {"data": "folder", "data__root": photos[1].partition("=")[2], "split": "test", "num_workers": 0}
    result = segtrain.evaluate(predictions=tmp_path / "theirs", overrides=LISTS, **keys)
    assert (result.network.mean_iou, result.split) == (1, "test")
    with pytest.raises(InputError, match="one thing to evaluate"):
        segtrain.evaluate(**keys)


def test_everything_that_does_not_fit_is_counted_and_named(photos, run, tmp_path):
    outside = good()
    outside[5, 5:8] = 9
    given = write(tmp_path / "theirs", c=good()[:, :30], d=outside, x=good())
    done = run("segeval", given, *photos, *EVAL)
    refused(
        done,
        "1 images without a prediction",
        "1 predictions of no image",
        "1 predictions of another size",
        "1 predictions with what is no class index",
    )
    for words in ("site/e: no such file", "x.png: no such image", "30×33, the mask is 40×33"):
        assert words in done.out
    assert "3 pixels of 9: the classes are 0 to 1" in done.out
    assert (
        not (done.folder / "metrics.json").exists()
        or json.loads((done.folder / "metrics.json").read_text())["error"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crf=true"], "crf=True: predictions= has no probabilities"),
        (["metric=[calibration]"], "Calibration needs probabilities"),
        (["predictions=nowhere"], "predictions=nowhere: no such folder"),
        (["compare=true"], "compare=true needs two"),
        (["ckpt=RUN"], "RUN: no such file"),
    ],
)
def test_what_labels_cannot_give_is_said(photos, run, tmp_path, arguments, words):
    given = write(tmp_path / "theirs", c=good())
    refused(run("segeval", given, *photos, *EVAL, *arguments), words)


def test_without_a_data_set_nothing_is_evaluated(run, tmp_path):
    refused(run("segeval", write(tmp_path / "theirs", c=good()), *EVAL), "data= is missing")


def test_predictions_and_checkpoints_are_compared(photos, run, tmp_path):
    trained = run("segtrain", *photos, *SMALL, *FAST)
    assert trained.code == 0, trained.err
    predicted = run("segpredict", f"ckpt={trained.folder}", f"input={tmp_path}/photos/images", "device=cpu")
    assert predicted.code == 0, predicted.err
    kept = [path for name in ("c", "d", "site/e") for path in predicted.folder.glob(f"labels/{name}.png")]
    own = {
        "_".join(path.relative_to(predicted.folder / "labels").with_suffix("").parts): path for path in kept
    }
    write(tmp_path / "same", **{name: np.asarray(Image.open(path)) for name, path in own.items()})
    write(tmp_path / "right", c=good(), d=good(), site_e=good())
    made = run("segeval", f"predictions={predicted.folder}", *photos, *EVAL)
    refused(made, "3 predictions of no image of the split")  # those of the other splits
    both = f"predictions=[{tmp_path}/same,{tmp_path}/right]"
    done = run("segeval", f"ckpt={trained.folder}", both, "compare=true", *EVAL)
    groups = metrics(done)["groups"]
    assert groups["A"][0]["confusion_matrix"] == groups["B"][0]["confusion_matrix"]
    assert groups["C"][0]["mean_iou"] == 1
    assert groups["B"][0]["predictions"].endswith("same")
    assert metrics(done)["ckpt"] == str(trained.folder)
    alone = run("segeval", both, *photos, "compare=true", *EVAL)
    assert metrics(alone)["difference"]["mean_iou"] == pytest.approx(1 - groups["A"][0]["mean_iou"])


def test_a_last_part_that_is_not_unique_pairs_nothing(tmp_path):
    write(tmp_path, one_a=good(), two_a=good(), b=good())
    files, faults = pair_predictions(["one/a", "three/a", "x/b"], tmp_path)
    assert files == {"one/a": tmp_path / "one/a.png", "x/b": tmp_path / "b.png"}
    assert [(fault.kind, fault.where.rpartition("/")[2]) for fault in faults] == [
        ("missing", "a"),
        ("surplus", "a.png"),
    ]
