"""Local data sets of the `datasets` library: parquet, and what `save_to_disk` leaves."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from segtrain.data.formats.huggingface import HuggingFace
from segtrain.errors import InputError

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore")  # of pandas and pyarrow


def png(array) -> dict:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def table(count=4, column="label", first=0):
    rng = np.random.default_rng(first)
    masks = [np.tile(np.array([0, 1, 255], np.uint8), (6, 2)) for _ in range(count)]
    images = [rng.integers(0, 256, (6, 6, 3), np.uint8) for _ in range(count)]
    features = datasets.Features(
        {"image": datasets.Image(), column: datasets.Image(), "id": datasets.Value("int32")}
    )
    columns = {"image": [png(i) for i in images], column: [png(m) for m in masks], "id": list(range(count))}
    return datasets.Dataset.from_dict(columns, features=features), masks[0], images[0]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_parquet_files_of_splits(tmp_path):
    (tmp_path / "set/data").mkdir(parents=True)
    rows, mask, image = table()
    rows.to_parquet(tmp_path / "set/data/train-00000-of-00001.parquet")
    table(2, first=1)[0].to_parquet(tmp_path / "set/data/validation-00000-of-00001.parquet")
    (tmp_path / "set/id2label.json").write_text(json.dumps({"1": "cat", "0": "background"}))
    data = HuggingFace(root=str(tmp_path / "set"))
    assert data.class_names == ("background", "cat")
    assert HuggingFace(root=str(tmp_path / "set"), num_classes=2).class_names == ("background", "cat")
    assert HuggingFace(root=str(tmp_path / "set"), num_classes=3).class_names == ("0", "1", "2")
    assert (len(data.train), len(data.val)) == (4, 2)
    sample = data.train[0]
    assert (sample.image == image).all()
    assert (sample.mask == mask).all()
    assert (data.train.labels(0)[0] == mask).all()


def test_what_save_to_disk_leaves_is_split_at_random(tmp_path):
    table(8, "annotation")[0].save_to_disk(tmp_path / "set")
    data = HuggingFace(root=str(tmp_path / "set"), num_classes=2)
    assert (len(data.train), len(data.val)) == (6, 2)
    assert not {data.train[i].name for i in range(6)} & {data.val[i].name for i in range(2)}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "data.num_classes is missing"),
        (
            {"num_classes": 2, "mask_column": "nobody"},
            "no column for data.mask_column=nobody; take one of image",
        ),
        ({"num_classes": 2, "train_split": "nobody"}, "no split nobody"),
        ({"num_classes": 1}, "label 1 .* is outside the classes"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, keys, message):
    table()[0].to_parquet(tmp_path / "set.parquet")

    def read():
        return HuggingFace(root=str(tmp_path / "set.parquet"), **keys).train[0]

    with pytest.raises(InputError, match=message):
        read()


def test_a_folder_without_files_is_named(tmp_path):
    with pytest.raises(InputError, match="no parquet or arrow files there"):
        _ = HuggingFace(root=str(tmp_path), num_classes=2).train


def test_a_training_reads_parquet(tmp_path, run, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    images = [png(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(4)]
    masks = [png(rng.integers(0, 2, (64, 64), np.uint8)) for _ in range(4)]
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    rows = datasets.Dataset.from_dict({"image": images, "mask": masks}, features=features)
    rows.to_parquet(tmp_path / "set.parquet")
    given = ["data=huggingface", f"data.root={tmp_path}/set.parquet", "data.class_names=[soil,weed]"]
    fast = [
        "model=segnet_basic",
        "width=0.0625",
        "batch_size=2",
        "max_steps=1",
        "num_workers=0",
        "device=cpu",
    ]
    done = run("segtrain", *given, *fast)
    assert done.code == 0, done.err
    assert "weed" in done.out


def test_images_with_more_bits_than_would_be_kept_are_refused(tmp_path):
    import cv2

    deep = cv2.imencode(".png", np.full((6, 6, 3), 300, np.uint16))[1].tobytes()
    mask = png(np.zeros((6, 6), np.uint8))
    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    columns = {"image": [{"bytes": deep, "path": None}] * 2, "mask": [mask] * 2}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "set")
    with pytest.raises(InputError, match="must have 8 bits a channel"):
        HuggingFace(root=str(tmp_path / "set"), num_classes=2).train[0]
