"""Every further data set on a miniature of its layout: pairs, label maps, ignored, and set arithmetic."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from segtrain.data.checks.frequencies import class_frequencies
from segtrain.data.datasets.ade20k import ADE20K
from segtrain.data.datasets.cityscapes import TRAIN_IDS, Cityscapes
from segtrain.data.datasets.isbi2012 import ISBI2012
from segtrain.data.datasets.nyudv2 import NYUDv2
from segtrain.data.datasets.pascal_context import PascalContext
from segtrain.data.datasets.siftflow import SCENES, SIFTFlow
from segtrain.data.datasets.voc_aug import VOCAug
from segtrain.data.io.mat import read_mat
from segtrain.errors import InputError


def image(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (10, 20, 30)).save(path)


def png(path: Path, labels: list, dtype=np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(labels, dtype)).save(path)


def mat(path: Path, **variables) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables, do_compression=True)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def names(split) -> list[str]:
    return [pair.name for pair in split.pairs]


@pytest.fixture
def voc_and_sbd(tmp_path):
    """VOC: a, b train and c, d val. SBD: a, c, e train and d, f val, x and y in neither VOC's lists."""
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    for name in "abcdefxy":
        image(voc / f"JPEGImages/{name}.jpg", 2, 3)
    for name in "abcd":
        png(voc / f"SegmentationClass/{name}.png", [[0, 1, 255]] * 2)
    text(voc / "ImageSets/Segmentation/train.txt", "a", "b")
    text(voc / "ImageSets/Segmentation/val.txt", "c", "d")
    sbd = tmp_path / "sbd"
    for name in "acdefxy":
        classes = np.array([[0, 20, 20]] * 2, np.uint8)
        outlines = np.zeros((20, 1), object)
        mat(sbd / f"cls/{name}.mat", GTcls={"Boundaries": outlines, "Segmentation": classes})
        mat(sbd / f"inst/{name}.mat", GTinst={"Segmentation": np.array([[0, 1, 2]] * 2, np.uint8)})
    text(sbd / "train.txt", "y", "a", "c", "e")
    text(sbd / "val.txt", "d", "f", "x")
    return tmp_path


def test_train_aug_is_all_of_vocs_train_and_sbd_without_vocs_val(voc_and_sbd):
    data = VOCAug(root=str(voc_and_sbd))
    assert names(data.train) == ["a", "b", "e", "f", "x", "y"]
    assert names(data.val) == ["c", "d"]
    assert names(data.split("trainval_aug")) == list("abcdefxy")
    assert names(data.split("train")) == ["a", "b"]


def test_a_image_that_voc_annotated_keeps_vocs_mask(voc_and_sbd):
    train = VOCAug(root=str(voc_and_sbd)).train
    assert train[0].mask[0].tolist() == [0, 1, 255]
    assert train[2].mask[0].tolist() == [0, 20, 20]
    assert train[2].image.shape == (2, 3, 3)


def test_sbds_own_splits_have_sbds_masks_and_objects(voc_and_sbd):
    data = VOCAug(root=str(voc_and_sbd), train_split="sbd_train", val_split="sbd_val")
    assert (names(data.train), names(data.val)) == (["a", "c", "e", "y"], ["d", "f", "x"])
    assert data.train[0].mask[0].tolist() == [0, 20, 20]
    assert data.train.instances(0)[0].tolist() == [0, 1, 2]
    assert VOCAug(root=str(voc_and_sbd)).train.instances(0) is None  # no SegmentationObject here


def test_seg11valid_is_voc_2011s_val_without_sbds_train(voc_and_sbd):
    data = VOCAug(root=str(voc_and_sbd), val_split="seg11valid")
    with pytest.raises(InputError, match=r"seg11valid: neither .*seg11valid\.txt nor VOC 2011's .*val\.txt"):
        _ = data.val
    lists = "VOCdevkit/VOC2011/ImageSets/Segmentation"
    text(voc_and_sbd / lists / "val.txt", "c", "d")
    assert names(data.val) == ["d"]
    text(voc_and_sbd / lists.replace("2011", "2012") / "seg11valid.txt", "c")
    assert names(VOCAug(root=str(voc_and_sbd), val_split="seg11valid").val) == ["c"]


def test_masks_in_mat_files_are_counted_once_and_again_when_they_change(voc_and_sbd, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    split = VOCAug(root=str(voc_and_sbd), train_split="sbd_train").train
    first = class_frequencies(split, 21).pixels
    assert (first[0], first[20]) == (8, 16)
    everything = np.full((2, 3), 20, np.uint8)
    mat(voc_and_sbd / "sbd/cls/a.mat", GTcls={"Segmentation": everything})
    assert class_frequencies(split, 21).pixels[20] == 18


def test_sbd_is_downloaded_by_torchvision_and_only_where_it_is_not_there(voc_and_sbd, monkeypatch):
    import torchvision.datasets

    asked = []
    away = (voc_and_sbd / "sbd").rename(voc_and_sbd / "away")

    def fetch(root, download):
        asked.append(download)
        Path(root).rmdir()
        away.rename(root)

    monkeypatch.setattr(torchvision.datasets, "SBDataset", fetch)
    with pytest.raises(InputError, match=r"SBD not found, no cls in .*sbd.*download=true"):
        VOCAug(root=str(voc_and_sbd))
    for _ in range(2):
        assert len(VOCAug(root=str(voc_and_sbd), download=True).train) == 6
    assert asked == [True]


@pytest.fixture
def cityscapes(tmp_path):
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "lindau")):
        stem = f"{split}/{city}/{city}_000000_000019"
        image(tmp_path / f"leftImg8bit/{stem}_leftImg8bit.png", 1, 36)
        png(tmp_path / f"gtFine/{stem}_gtFine_labelIds.png", [[*range(34), 255, 7]])
        png(tmp_path / f"gtFine/{stem}_gtFine_instanceIds.png", [[0] * 36])
    return tmp_path


def test_cityscapes_19_train_ids_are_the_official_ones(cityscapes):
    data = Cityscapes(root=str(cityscapes))
    trained = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12}
    trained |= {26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    assert data.val[0].mask[0].tolist() == [*(trained.get(i, 255) for i in range(34)), 255, 0]
    assert TRAIN_IDS[-1] == 255  # license plates
    assert data.class_names[0] == "road"
    assert data.class_names[18] == "bicycle"
    assert data.palette[13] == (0, 0, 142)


def test_cityscapes_images_are_found_in_every_city(cityscapes):
    assert names(Cityscapes(root=str(cityscapes)).train) == ["aachen_000000_000019", "bochum_000000_000019"]
    with pytest.raises(InputError, match=r"leftImg8bit/test: no CITY/NAME_leftImg8bit\.png"):
        _ = Cityscapes(root=str(cityscapes), val_split="test").val


@pytest.fixture
def ade(tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    rows = [f"{i}\t0.1\t10\t1\t0\tthing {i}, synonym" for i in range(1, 151)]
    text(root / "objectInfo150.txt", "Idx\tRatio\tTrain\tVal\tStuff\tName", *rows)
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        image(root / f"images/{split}/{name}.jpg", 1, 4)
        png(root / f"annotations/{split}/{name}.png", [[0, 1, 2, 150]])
    return tmp_path


def test_ade20ks_zero_is_ignored_and_its_classes_begin_at_one(ade):
    data = ADE20K(root=str(ade))
    assert data.val[0].mask.tolist() == [[255, 0, 1, 149]]
    assert names(data.train) == ["ADE_train_00000001"]
    assert (data.class_names[0], data.class_names[149]) == ("thing 1", "thing 150")


def test_a_shortened_list_of_ade20ks_classes_is_refused(ade):
    path = ade / "ADEChallengeData2016/objectInfo150.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(InputError, match=r"objectInfo150\.txt: its lines are not the classes 1 to 150"):
        ADE20K(root=str(ade))


def test_nyudv2s_zero_is_ignored_and_its_40_classes_begin_at_one(tmp_path):
    image(tmp_path / "nyud/data/images/img_5001.png", 1, 3)
    mat(tmp_path / "nyud/segmentation/img_5001.mat", segmentation=np.array([[0, 1, 40]], np.uint8))
    text(tmp_path / "nyud/trainval.txt", "5001")
    data = NYUDv2(root=str(tmp_path))
    assert data.train[0].mask.tolist() == [[255, 0, 39]]
    assert len(data.class_names) == 40
    assert (data.class_names[0], data.class_names[27], data.class_names[39]) == (
        "wall",
        "shower curtain",
        "otherprop",
    )


@pytest.mark.parametrize(
    ("classes", "expected", "first"), [(33, [255, 0, 32], "awning"), (3, [255, 0, 2], "sky")]
)
def test_siftflow_has_semantic_and_geometric_labels(tmp_path, classes, expected, first):
    image(tmp_path / f"Images/{SCENES}/coast_1.jpg", 1, 3)
    mat(tmp_path / f"SemanticLabels/{SCENES}/coast_1.mat", S=np.array([[0, 1, 33]], np.uint8), names=["x"])
    mat(tmp_path / f"GeoLabels/{SCENES}/coast_1.mat", S=np.array([[-1, 1, 3]], np.float64))
    text(tmp_path / "test.txt", "coast_1")
    data = SIFTFlow(root=str(tmp_path), num_classes=classes)
    assert data.val[0].mask.tolist() == [expected]
    assert data.class_names[0] == first
    assert len(data.class_names) == len(data.palette) == classes


@pytest.fixture
def context(tmp_path):
    """59 classes c1 to c59, of which three have another name among the 459, and 33 of them."""
    subset = [f"c{i}" for i in range(1, 57)] + ["diningtable", "bedcloth", "clothes"]
    others = [f"o{i}" for i in range(400)]
    all_labels = [*others, *subset[:56], "table", "bedclothes", "cloth"]
    text(tmp_path / "labels.txt", *(f"{i}: {name}" for i, name in enumerate(all_labels, 1)))
    text(tmp_path / "59_labels.txt", *(f"{i}: {name}" for i, name in enumerate(subset, 1)))
    text(tmp_path / "33_labels.txt", *(f"{i}: {name}" for i, name in enumerate(subset[-33:], 1)))
    image(tmp_path / "VOC2010/JPEGImages/2008_1.jpg", 1, 5)
    mat(tmp_path / "trainval/2008_1.mat", LabelMap=np.array([[0, 1, 401, 457, 459]], np.uint16))
    text(tmp_path / "VOC2010/ImageSets/Main/val.txt", "2008_1")
    return tmp_path


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (60, [0, 0, 1, 57, 59]),
        (59, [255, 255, 0, 56, 58]),
        (34, [0, 0, 0, 31, 33]),
        (33, [255, 255, 255, 30, 32]),
    ],
)
def test_pascal_contexts_classes_are_found_by_name_with_and_without_background(context, classes, expected):
    data = PascalContext(root=str(context), num_classes=classes)
    assert data.val[0].mask.tolist() == [expected]
    assert len(data.class_names) == len(data.palette) == classes
    assert data.class_names[-3:] == ("diningtable", "bedcloth", "clothes")


def test_pascal_contexts_lists_are_checked(context):
    with pytest.raises(InputError, match=r"data\.num_classes=20"):
        PascalContext(root=str(context), num_classes=20)
    labels = (context / "labels.txt").read_text()
    (context / "labels.txt").write_text(labels.replace(" table", " desk"))
    with pytest.raises(InputError, match=r"labels\.txt: no class diningtable"):
        PascalContext(root=str(context))
    (context / "labels.txt").write_text(labels.replace("7: o6\n", ""))
    with pytest.raises(InputError, match=r"labels\.txt: 458 classes instead of 459"):
        PascalContext(root=str(context))


@pytest.fixture
def stacks(tmp_path):
    """Eight pages; page i is grey i, its labels alternate."""
    for name, values in (("volume", [[i, i] for i in range(8)]), ("labels", [[0, 255]] * 8)):
        pages = [Image.fromarray(np.array([row], np.uint8)) for row in values]
        pages[0].save(tmp_path / f"train-{name}.tif", save_all=True, append_images=pages[1:])
    return tmp_path


def test_isbis_stacks_are_read_page_by_page(stacks):
    data = ISBI2012(root=str(stacks), folds=4, fold=1)
    assert (names(data.val), names(data.train)) == (["2", "3"], ["0", "1", "4", "5", "6", "7"])
    sample = data.val[1]
    assert sample.image.tolist() == [[[3, 3, 3], [3, 3, 3]]]
    assert sample.mask.tolist() == [[0, 1]]
    assert data.val.labels(1)[0].tolist() == [[0, 1]]


def test_isbis_stacks_of_different_length_or_damaged_are_refused(stacks):
    labels = stacks / "train-labels.tif"
    Image.fromarray(np.zeros((1, 2), np.uint8)).save(labels)
    with pytest.raises(InputError, match=r"8 pages in train-volume\.tif, 1 in train-labels\.tif"):
        _ = ISBI2012(root=str(stacks)).train
    labels.write_bytes(b"II*")
    with pytest.raises(InputError, match=r"train-labels\.tif: cannot be read"):
        _ = ISBI2012(root=str(stacks)).train


@pytest.mark.parametrize(
    ("data", "wanted", "source"),
    [
        (Cityscapes, "leftImg8bit", "cityscapes-dataset.com"),
        (ADE20K, "objectInfo150.txt", "ADEChallengeData2016.zip"),
        (NYUDv2, "segmentation", "nyud.tar.gz"),
        (SIFTFlow, "SemanticLabels", "SiftFlowDataset.zip"),
        (PascalContext, "JPEGImages", "VOCtrainval_03-May-2010.tar"),
        (ISBI2012, "train-volume.tif or train/image", "train-labels.tif"),
    ],
)
def test_a_data_set_that_is_not_there_says_what_was_looked_for_and_where_to_get_it(
    tmp_path, data, wanted, source
):
    with pytest.raises(InputError) as error:
        data(root=str(tmp_path))
    assert f"no {wanted} in {tmp_path}" in str(error.value)
    assert source in str(error.value)


@pytest.mark.parametrize("data", [VOCAug, Cityscapes, NYUDv2, SIFTFlow])
def test_another_number_of_classes_is_refused(tmp_path, data):
    with pytest.raises(InputError, match=r"data\.num_classes=7"):
        data(root=str(tmp_path), num_classes=7)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404</html>",
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n",
        b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0f\x00\x00\x00\xff\x00\x00\x00rubbish",
    ],
)
def test_a_mat_file_that_is_damaged_or_too_new_is_named(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mat: cannot be read"):
        read_mat(tmp_path / "a.mat", ("S",))


@pytest.mark.parametrize(
    "value", [np.array([[0.5]]), np.array([[np.nan]]), np.zeros((2, 2, 2)), np.zeros((0, 0)), "text"]
)
def test_a_mat_file_without_whole_numbers_is_named(tmp_path, value):
    savemat(tmp_path / "a.mat", {"S": value})
    with pytest.raises(InputError, match=r"a\.mat: (S is no matrix of whole numbers|cannot be read)"):
        read_mat(tmp_path / "a.mat", ("S",))


def test_a_truncated_mat_file_is_named(tmp_path):
    savemat(tmp_path / "a.mat", {"S": np.zeros((64, 64))}, do_compression=False)
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:900])
    with pytest.raises(InputError, match=r"a\.mat: cannot be read"):
        read_mat(tmp_path / "a.mat", ("S",))


def test_a_mat_file_with_another_variable_is_named(tmp_path):
    savemat(tmp_path / "a.mat", {"T": np.zeros((2, 2))})
    with pytest.raises(InputError, match=r"a\.mat: cannot be read \(it has no S\)"):
        read_mat(tmp_path / "a.mat", ("S",))
