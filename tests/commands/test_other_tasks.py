"""`task=binary` and `task=multilabel` from the command line: training, evaluation, prediction, comparison."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FAST

SMALL = ["model=segnet_basic", "width=0.125", "logger=[jsonl]"]
EVALUATED = ["logger=[]", "device=cpu", "precision=32", "num_workers=0"]
CRF = ["crf=true", "dense_crf.backend=torch", "dense_crf.iterations=1"]


@pytest.fixture
def blobs(tmp_path):
    """Six images of squares, once as masks of two classes and once as stacks of two that overlap."""
    rng = np.random.default_rng(0)
    for kind in ("binary", "several"):
        (tmp_path / kind / "images").mkdir(parents=True)
    (tmp_path / "binary/masks").mkdir()
    for i in range(6):
        image, masks = rng.integers(0, 90, (32, 40, 3)).astype(np.uint8), []
        for channel in range(2):
            y, x = rng.integers(0, 16, 2)
            mask = np.zeros((32, 40), np.uint8)
            mask[y : y + 14, x : x + 14] = 1
            image[..., channel] += 150 * mask
            masks.append(mask)
        for kind in ("binary", "several"):
            Image.fromarray(image).save(tmp_path / kind / f"images/p{i}.png")
        Image.fromarray(masks[0]).save(tmp_path / f"binary/masks/p{i}.png")
        (tmp_path / f"several/masks/p{i}").mkdir(parents=True)
        for name, mask in zip(("red", "green"), masks, strict=True):
            Image.fromarray(mask * 255).save(tmp_path / f"several/masks/p{i}/{name}.png")
    return tmp_path


def metrics(done) -> dict:
    assert done.code == 0, done.err
    return json.loads((done.folder / "metrics.json").read_text())


def test_binary_trains_chooses_a_threshold_and_keeps_it(run, blobs):
    data = ["data=folder", f"data.root={blobs / 'binary'}", "data.class_names=[ground,square]"]
    trained = run("segtrain", *SMALL, *FAST, *data, "task=binary", "threshold=auto", "loss=[bce,tversky]")
    found = metrics(trained)
    assert set(found["per_class"]) == {"ground", "square"}
    assert found["iou"] == found["per_class"]["square"]["iou"]
    assert 0 < found["threshold"] < 1
    again = metrics(run("segeval", f"ckpt={trained.folder}", *EVALUATED))
    assert again["threshold"] == found["threshold"]
    assert again["confusion_matrix"] == found["confusion_matrix"]
    assert again["average_precision"] == pytest.approx(found["average_precision"])
    refined = metrics(run("segeval", f"ckpt={trained.folder}", *CRF, "threshold=0.3", *EVALUATED))
    assert refined["threshold"] == refined["without_crf"]["threshold"] == 0.3
    both = run("segeval", f"ckpt=[{trained.folder},{trained.folder}]", "compare=true", *EVALUATED)
    assert metrics(both)["difference"]["mean_iou"] == 0
    source, keys = blobs / "binary/images", ["probabilities=true", "device=cpu", "precision=32"]
    done = run("segpredict", f"ckpt={trained.folder}", f"input={source}", *keys)
    assert done.code == 0, done.err
    p = np.load(done.folder / "probabilities/p0.npy")
    labels = np.array(Image.open(done.folder / "labels/p0.png"))
    assert p.shape == (2, 32, 40)
    clear = np.abs(p[1] - found["threshold"]) > 1e-3  # float16
    assert np.array_equal(labels[clear], (p[1] > found["threshold"])[clear])


def test_masks_of_ignored_pixels_alone_are_said_to_have_no_labels(run, blobs):
    for path in (blobs / "binary/masks").iterdir():
        Image.fromarray(np.full((32, 40), 255, np.uint8)).save(path)
    data = ["data=folder", f"data.root={blobs / 'binary'}", "loss=[bce,tversky,boundary,cldice]"]
    done = run("segtrain", *SMALL, *FAST, *data)
    assert metrics(done)["mean_iou"] is None
    assert "no pixel of these images has a label: there is nothing to measure" in done.out


def test_multilabel_trains_and_writes_what_it_reads(run, blobs):
    data = ["data=multilabel_folder", f"data.root={blobs / 'several'}"]
    options = ["task=multilabel", "loss=[bce,dice]", "metric=[hd95]"]
    trained = run("segtrain", *SMALL, *FAST, *data, *options)
    found = metrics(trained)
    assert list(found["per_class"]) == ["green", "red"]
    assert np.array(found["confusion_matrix"]).shape == (2, 2, 2)
    assert set(found["average_precision"]) == set(found["hd95"]) == {"green", "red"}
    again = metrics(run("segeval", f"ckpt={trained.folder}", *EVALUATED))
    assert again["confusion_matrix"] == found["confusion_matrix"]
    source = blobs / "several/images"
    done = run("segpredict", f"ckpt={trained.folder}", f"input={source}", "device=cpu")
    assert done.code == 0, done.err
    with np.load(done.folder / "labels/p0.npz") as file:
        assert file["arr_0"].shape == (2, 32, 40)
    with Image.open(done.folder / "overlays/p0.jpg") as overlay:
        assert overlay.size == (40, 32)


def test_multilabel_takes_class_indices_and_refuses_the_crf_before_it_reads(run, blobs):
    nowhere = ["data=multilabel_folder", f"data.root={blobs / 'none'}", "data.class_names=[a,b]"]
    refused = run("segtrain", *SMALL, *FAST, *nowhere, "task=multilabel", "crf=true")
    assert refused.code == 2
    assert "crf=true: the CRF gives every pixel one class" in refused.err
    several = ["data=multilabel_folder", f"data.root={blobs / 'several'}"]
    refused = run("segtrain", *SMALL, *FAST, *several)
    assert refused.code == 2
    assert "a pixel has several classes; add task=multilabel" in refused.err
    indices = ["data=folder", f"data.root={blobs / 'binary'}", "task=multilabel"]
    assert set(metrics(run("segtrain", *SMALL, *FAST, *indices))["per_class"]) == {"0", "1"}
