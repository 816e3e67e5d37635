"""`segdata action=convert`: any data set as folders, the same samples again."""

import numpy as np
import pytest
from PIL import Image

from segtrain.config.compose import compose_config, plain
from segtrain.config.data_file import adopt_data_files
from segtrain.config.instantiate import instantiate
from segtrain.config.num_classes import fill_num_classes
from tests import miniatures
from tests.data.formats.exports import WRITERS


def build(*overrides: str):
    config = compose_config("train", adopt_data_files(overrides))
    fill_num_classes(config)
    return instantiate(plain(config)["data"], "data")


def state(folder) -> dict:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "option", ["shapes", "voc", "camvid", "isbi2012", "coco", "label_studio", "roboflow"]
)
def test_a_converted_data_set_has_the_same_samples_and_converting_again_changes_nothing(
    tmp_path, run, option
):
    source = tmp_path / "source"
    source.mkdir()
    if option in WRITERS:
        WRITERS[option](source)
        given = [f"data.root={source}"]
    else:
        given = miniatures.make(option, source)
    to = tmp_path / "plain"
    command = ["segdata", f"data={option}", *given, "action=convert", f"to={to}"]
    done = run(*command)
    assert done.code == 0, done.err
    assert f"segtrain data={to}/data.yaml" in done.out
    before, original, converted = state(to), build(f"data={option}", *given), build(f"data={to}/data.yaml")
    assert converted.class_names == tuple(original.class_names)
    assert converted.palette == tuple(original.palette)
    for split in ("train", "val"):
        ours, theirs = getattr(converted, split), getattr(original, split)
        assert len(ours) == len(theirs)
        for i in range(len(theirs)):
            assert np.array_equal(ours[i].image, theirs[i].image)
            assert np.array_equal(ours[i].mask, theirs[i].mask)
    again = run(*command)
    assert "nothing changed" in again.out
    assert state(to) == before


def test_masks_are_palette_images_and_photographs_are_copied(tmp_path, run):
    given = miniatures.voc(tmp_path / "source")
    assert run("segdata", "data=voc", *given, "action=convert", f"to={tmp_path}/plain").code == 0
    copied = tmp_path / "plain/images/a.jpg"
    assert copied.read_bytes() == (tmp_path / "source/VOCdevkit/VOC2012/JPEGImages/a.jpg").read_bytes()
    with Image.open(tmp_path / "plain/masks/a.png") as mask:
        assert mask.mode == "P"
        assert mask.getpalette()[3:6] == [128, 0, 0]


def test_a_folder_with_other_files_is_not_written_to(tmp_path, run):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    small = ["data.size=32", "data.train_images=2", "data.val_images=1"]
    done = run("segdata", *small, "action=convert", f"to={tmp_path}/mine")
    assert done.code == 2
    assert "it holds other files" in done.err
    assert "to= is missing" in run("segdata", *small, "action=convert").err
