"""Test splits: where a data set has one, what is in it, and what is said where there is none."""

import pytest
import yaml

from segtrain.data.datasets.camvid import CamVid
from segtrain.data.datasets.folder import Folder
from segtrain.data.datasets.folds import Folded
from segtrain.data.datasets.isbi2012 import ISBI2012
from segtrain.data.datasets.nyudv2 import NYUDv2
from segtrain.data.datasets.one_hot import OneHot
from segtrain.data.datasets.shapes import Shapes
from segtrain.data.datasets.splits import source_of, split_of, splits_of
from segtrain.data.formats.annotated import Annotated
from segtrain.data.formats.labelme import LabelMe
from segtrain.data.formats.roboflow import Roboflow
from segtrain.data.formats.yolo import Yolo
from segtrain.errors import InputError, NoSplit
from tests import miniatures
from tests.data.formats import exports


def names(split) -> list[str]:
    return [source_of(split, i)[0] for i in range(len(split))]


@pytest.fixture
def photos(tmp_path):
    for name in "abcdefgh":
        miniatures.write_pair(tmp_path / f"images/{name}.png", tmp_path / f"masks/{name}.png")
    (tmp_path / "held.txt").write_text("c\ng\n")
    return tmp_path


def test_the_drawn_test_split_has_images_of_its_own():
    data = Shapes(size=32, train_images=2, val_images=2, test_images=3)
    assert list(splits_of(data)) == ["train", "val", "test"]
    assert len(data.test) == 3
    assert (data.test[0].image != data.val[0].image).any()
    assert data.test[1].name == names(data.test)[1] == "test_00001"
    assert OneHot(data).test[0].mask.shape == (32, 32, 7)


def test_a_list_that_is_not_there_is_no_split(tmp_path):
    miniatures.camvid(tmp_path)
    data = CamVid(root=str(tmp_path))
    with pytest.raises(NoSplit, match=r"split=test: no .*test.txt; there are train and val"):
        split_of(data, "test")
    assert list(splits_of(data)) == ["train", "val"]
    miniatures.write_pair(tmp_path / "test/t.png", tmp_path / "testannot/t.png")
    (tmp_path / "test.txt").write_text("test/t.png testannot/t.png\n")
    assert names(split_of(CamVid(root=str(tmp_path)), "test")) == ["t"]


def test_a_test_split_that_validates_is_one_split(monkeypatch):
    data = NYUDv2.__new__(NYUDv2)
    data.train_split, data.val_split, data.test_split = "trainval", "test", "test"
    monkeypatch.setattr(NYUDv2, "split", lambda _, name: [name])
    assert split_of(data, "test") is data.val
    assert list(splits_of(data)) == ["train", "val"]


def test_listed_images_of_a_folder_neither_train_nor_validate(photos):
    data = Folder(root=str(photos), test_split="held")
    assert names(data.test) == ["c", "g"]
    assert sorted(names(data.train) + names(data.val)) == list("abdefh")
    with pytest.raises(NoSplit, match=r"data.test_split is null.*set it to a list"):
        split_of(Folder(root=str(photos)), "test")
    with pytest.raises(InputError, match=r"nothing\.txt"):
        split_of(Folder(root=str(photos), test_split="nothing"), "test")


def test_an_image_of_two_lists_is_refused(photos):
    (photos / "train.txt").write_text("a\nc\n")
    (photos / "val.txt").write_text("b\n")
    data = Folder(root=str(photos), train_split="train", val_split="val", test_split="held")
    with pytest.raises(InputError, match=r"c.png: in the test split and another"):
        split_of(data, "test")


def test_no_fold_has_an_image_of_the_test_split(photos):
    folds = [Folded(data=Folder(root=str(photos), test_split="held"), folds=3, fold=i) for i in range(3)]
    assert sorted(name for fold in folds for name in names(fold.val)) == list("abdefh")
    assert names(folds[0].test) == ["c", "g"]
    with pytest.raises(NoSplit):
        split_of(Folded(data=Folder(root=str(photos)), folds=3), "test")


def test_the_last_slices_are_in_no_fold(tmp_path):
    miniatures.isbi2012(tmp_path)
    data = [ISBI2012(root=str(tmp_path), folds=2, fold=i, test_slices=2) for i in range(2)]
    assert [names(one.val) for one in data] == [["0"], ["1"]]
    assert names(data[0].test) == ["2", "3"]
    with pytest.raises(NoSplit, match=r"data\.test_slices=N"):
        split_of(ISBI2012(root=str(tmp_path)), "test")


def test_yolo_names_its_test_images(tmp_path):
    exports.yolo(tmp_path)
    content = yaml.safe_load((tmp_path / "data.yaml").read_text())
    exports.write_images(tmp_path / "held/images", exports.SCENES[:1])
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(content | {"test": "held/images"}))
    data = Annotated(read=Yolo(), root=str(tmp_path))
    assert names(data.test) == ["a"]
    assert data.test[0].mask.max() == 0  # without a text file beside it all is background


def test_roboflow_has_a_folder_for_it(tmp_path):
    exports.roboflow(tmp_path)
    (tmp_path / "test").mkdir()
    for path in sorted((tmp_path / "train").iterdir()):
        (tmp_path / "test" / path.name).write_bytes(path.read_bytes())
    data = Annotated(read=Roboflow(), root=str(tmp_path))
    assert [name.partition("/")[0] for name in names(data.test)] == ["test"] * len(data.test)
    assert (data.test[0].mask == data.train[0].mask).all()


def test_annotations_of_the_test_split_by_a_key(tmp_path):
    exports.labelme(tmp_path)
    moved = tmp_path / "held"
    moved.mkdir()
    for path in (path for path in sorted(tmp_path.rglob("a.*")) if path.parent != moved):
        path.rename(moved / path.name)
    data = Annotated(read=LabelMe(), root=str(tmp_path), test_annotations="held")
    assert [name[-1] for name in names(data.test)] == ["a"]
    assert sorted(name[-1] for name in names(data.train) + names(data.val)) == ["b", "c", "d"]
    with pytest.raises(NoSplit, match=r"set data.test_annotations"):
        split_of(Annotated(read=LabelMe(), root=str(tmp_path)), "test")
