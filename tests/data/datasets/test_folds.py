"""Folds of any data set: every image validates once, groups stay together, classes are spread."""

import json

import numpy as np
import pytest

from segtrain.config.data_node import make_data
from segtrain.data.datasets.folds import assign_folds
from segtrain.errors import InputError
from segtrain.evaluation.bootstrap import interval
from segtrain.evaluation.image_counts import load_counts
from tests import miniatures

SHAPES = {"_target_": "segtrain.data.datasets.shapes.Shapes", "size": 32, "train_images": 9, "val_images": 3}
FAST = ("model=segnet_basic", "width=0.0625", "batch_size=2", "max_steps=1", "num_workers=0", "device=cpu")


def names(split) -> list[str]:
    return [split[i].name for i in range(len(split))]


def folder(root, count=8):
    for i in range(count):
        for scan in "xy":
            name = f"patient{i}_{scan}"
            miniatures.write_pair(root / f"images/{name}.png", root / f"masks/{name}.png")
    return {"_target_": "segtrain.data.datasets.folder.Folder", "root": str(root)}


def test_every_image_validates_once_and_trains_in_all_other_folds():
    every = [make_data(SHAPES | {"folds": 4, "fold": fold}) for fold in range(4)]
    validating = [names(data.val) for data in every]
    whole = make_data(SHAPES)
    assert sorted(name for val in validating for name in val) == sorted(names(whole.train) + names(whole.val))
    for data, val in zip(every, validating, strict=True):
        assert len(data.train) + len(val) == 12
        assert not set(names(data.train)) & set(val)
    assert {len(val) for val in validating} == {3}
    assert every[0].class_names == whole.class_names


@pytest.mark.parametrize("keys", [{"folds": 4, "fold": 1}, {}])
def test_a_group_is_in_one_split(tmp_path, keys):
    data = make_data(folder(tmp_path) | {"group": r"patient(\d+)"} | keys)
    train, val = ({name.partition("_")[0] for name in names(split)} for split in (data.train, data.val))
    assert not train & val
    assert len(data.val) == 4
    assert len(data.train) + len(data.val) == 16


def test_folds_do_not_hang_on_the_order_of_files():
    labels = {f"p{i}": {0: 1, i % 3: 1} for i in range(12)}
    sizes = dict.fromkeys(labels, 1)
    first = assign_folds(sizes, labels, [0.25] * 4, 0)
    assert assign_folds(dict(reversed(sizes.items())), labels, [0.25] * 4, 0) == first
    assert assign_folds(sizes, labels, [0.25] * 4, 1) != first


def test_a_rare_class_is_in_every_fold():
    labels = {f"p{i}": {0: 1} | ({7: 1} if i < 4 else {}) for i in range(40)}
    folds = assign_folds(dict.fromkeys(labels, 1), labels, [0.25] * 4, 0)
    assert sorted(folds[f"p{i}"] for i in range(4)) == [0, 1, 2, 3]
    assert [list(folds.values()).count(i) for i in range(4)] == [10] * 4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"folds": 5, "fold": 5}, "data.fold=5 of data.folds=5"),
        ({"folds": 1}, "data.fold=0 of data.folds=1"),
        ({"group": "("}, "no regular expression"),
        ({"group": "nobody"}, "data.group=nobody: not found in the name"),
        ({"folds": 5, "group": "^."}, "groups for 5 folds"),
    ],
)
def test_what_does_not_fit_is_named(keys, message):
    def split():
        return make_data(SHAPES | keys).train

    with pytest.raises(InputError, match=message):
        split()


def test_folds_are_trained_checked_and_evaluated_from_the_command_line(tmp_path, run):
    folder(tmp_path / "scans", 3)
    given = [
        "data=folder",
        f"data.root={tmp_path}/scans",
        "data.folds=3",
        "data.fold=2",
        "data.group='patient.'",
    ]
    done = run("segtrain", *given, *FAST)
    assert done.code == 0, done.err
    assert "4 images to train on, 2 to validate" in done.out
    again = run("segeval", f"ckpt={done.folder}", "device=cpu", "num_workers=0")
    assert again.code == 0, again.err
    assert run("segdata", *given, "action=check", "accept=[overlap]").code == 0


def test_a_sweep_over_folds_ends_with_all_images_out_of_fold(tmp_path, run):
    folder(tmp_path / "scans", 4)
    given = ["data=folder", f"data.root={tmp_path}/scans", "data.folds=2", "data.group='patient.'"]
    done = run("segtrain", "-m", *given, *FAST, "data.fold=range(0,2)")
    assert done.code == 0, done.err
    (summary,) = json.loads((done.folder / "folds.json").read_text())
    runs = [
        json.loads((path / "metrics.json").read_text())
        for path in sorted(done.folder.iterdir())
        if path.is_dir()
    ]
    assert summary["images"] == 8
    total = np.sum([run["confusion_matrix"] for run in runs], axis=0)
    assert summary["out_of_fold"]["confusion_matrix"] == total.tolist()
    assert total.sum() == 8 * miniatures.SHAPE[0] * miniatures.SHAPE[1]
    assert summary["mean"] == pytest.approx(np.mean([run["mean_iou"] for run in runs]))
    assert summary["std"] == pytest.approx(np.std([run["mean_iou"] for run in runs], ddof=1))
    low, high = summary["interval"]
    assert low <= summary["mean"] <= high
    assert "2 folds: mean IoU" in done.out
    own = [load_counts(path.parent) for path in sorted(done.folder.glob("*/metrics.json"))]
    counts = np.concatenate([one.counts for one in own])
    assert counts.sum(0)[0].tolist() == np.diag(total).tolist()
    assert summary["out_of_fold"]["interval_over"] == "4 groups"  # a patient's scans are alike
    grouped = counts.reshape(4, 2, 3, 2).sum(1)  # of each patient two scans, one after the other
    assert sorted(summary["out_of_fold"]["mean_iou_interval"]) == pytest.approx(interval(grouped))
