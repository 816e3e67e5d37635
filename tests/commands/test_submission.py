"""`segeval submission=true`: label images as the servers of benchmarks want them."""

import json

import numpy as np
import pytest
from PIL import Image

from segtrain.commands.evaluate import submit
from segtrain.contracts import IGNORE_INDEX
from segtrain.data.datasets.ade20k import ADE20K
from segtrain.data.datasets.cityscapes import CLASSES, TRAIN_IDS
from segtrain.data.datasets.voc import voc_palette
from segtrain.evaluation.evaluate import ImageResult
from tests import miniatures
from tests.conftest import FAST

EVAL = ["num_workers=0", "device=cpu", "precision=32"]


@pytest.fixture
def evaluated(run, tmp_path):
    """A tiny network on a miniature of a data set, evaluated for its server."""

    def call(data: str, *arguments: str):
        root = tmp_path / data
        trained = run("segtrain", f"data={data}", *miniatures.make(data, root), "width=0.0625", *FAST)
        assert trained.code == 0, trained.err
        return run("segeval", f"ckpt={trained.folder}", "submission=true", *EVAL, *arguments)

    return call


def metrics(done) -> dict:
    assert done.code == 0, done.err
    return json.loads((done.folder / "metrics.json").read_text())


def files(done) -> list[str]:
    folder = done.folder / "submission"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def counts(done) -> list[int]:
    """How often each class is predicted, by the confusion matrix: nothing of the miniatures is ignored."""
    return np.sum(metrics(done)["confusion_matrix"], 0).tolist()


def stored(done, path: str) -> Image.Image:
    with Image.open(done.folder / "submission" / path) as image:
        image.load()
    assert image.size == miniatures.SHAPE[::-1]
    return image


def test_voc_gets_palette_images_below_its_results(evaluated):
    done = evaluated("voc")
    assert files(done) == ["results/VOC2012/Segmentation/comp6_val_cls/b.png"]
    image = stored(done, files(done)[0])
    assert image.mode == "P"
    colours = np.array(image.getpalette()).reshape(-1, 3)[:21]
    assert colours.tolist() == [list(colour) for colour in voc_palette(21)]
    assert np.bincount(np.asarray(image).ravel(), minlength=21).tolist() == counts(done)


def test_cityscapes_gets_grey_images_of_label_ids(evaluated):
    done = evaluated("cityscapes")
    image = stored(done, "a.png")
    assert image.mode == "L"
    of_ids = np.bincount(np.asarray(image).ravel(), minlength=256)
    ids = [id_ for id_, _ in CLASSES.values()]
    assert of_ids[ids].tolist() == counts(done)
    assert of_ids.sum() == sum(counts(done))  # no other id
    assert [TRAIN_IDS[id_] for id_ in ids] == list(range(19))


def test_ade20k_gets_its_classes_from_1_on_and_the_labels_after_the_crf(tmp_path):
    miniatures.make("ade20k", tmp_path)
    data = ADE20K(root=str(tmp_path))
    sample, refined = data.val[0], np.full(miniatures.SHAPE, 149, np.uint8)
    submit(ImageResult(0, sample, np.zeros_like(refined), refined, []), data.submission, tmp_path / "out")
    with Image.open(tmp_path / "out/ADE_val_00000001.png") as image:
        assert image.mode == "L"
        assert np.unique(np.asarray(image)).tolist() == [150]
    submit(ImageResult(0, sample, np.zeros_like(refined), None, []), data.submission, tmp_path / "out")
    with Image.open(tmp_path / "out/ADE_val_00000001.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [1]


def test_a_test_split_without_labels_is_annotated_and_has_no_metrics(evaluated, tmp_path):
    devkit = tmp_path / "voc/VOCdevkit/VOC2012"
    miniatures.write_image(devkit / "JPEGImages/t.jpg")
    (devkit / "ImageSets/Segmentation").mkdir(parents=True)
    (devkit / "ImageSets/Segmentation/test.txt").write_text("t\n")
    done = evaluated("voc", "data.val_split=test")
    assert files(done) == ["results/VOC2012/Segmentation/comp6_test_cls/t.png"]
    assert IGNORE_INDEX not in np.asarray(stored(done, files(done)[0]))
    assert metrics(done)["mean_iou"] is None


def test_a_data_set_without_a_server_is_refused(tiny, run):
    done = run("segeval", f"ckpt={tiny().folder}", "submission=true", *EVAL)
    assert done.code == 2
    assert "submission=true: no server scores this data set" in done.err
