"""VOC and CamVid on miniatures of their layouts, and every fault that reading can meet."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segtrain.contracts import HasIdentity, HasInstances, HasLabels, HasPairs, Pair, Sample
from segtrain.data.datasets.camvid import CamVid
from segtrain.data.datasets.isbi2012 import ISBI2012
from segtrain.data.datasets.voc import VOC, voc_palette
from segtrain.data.io.files import PairedFiles
from segtrain.errors import InputError

PALETTE = [v for colour in voc_palette(256) for v in colour]


def write_pair(folder: Path, mask: np.ndarray, *, mode: str | None = None) -> Pair:
    folder.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 256, (*mask.shape[:2], 3), np.uint8)
    Image.fromarray(image).save(folder / "a.jpg")
    image = Image.fromarray(mask) if mode is None else Image.fromarray(mask, mode)
    image.save(folder / "a.png")
    return Pair("a", folder / "a.jpg", folder / "a.png")


def read(pair: Pair, classes: int = 3, **keys):
    return PairedFiles([pair], num_classes=classes, **keys)[0]


@pytest.fixture
def devkit(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name, label in (("2007_1", 3), ("2007_2", 20)):
        Image.new("RGB", (6, 4)).save(root / "JPEGImages" / f"{name}.jpg")
        mask = Image.new("P", (6, 4), label)
        mask.putpalette(PALETTE)
        mask.putpixel((0, 0), 255)
        mask.save(root / "SegmentationClass" / f"{name}.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("2007_1\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_2\n\n")
    return root


@pytest.mark.parametrize("up", [0, 1, 2])
def test_voc_is_found_at_its_folder_and_from_above(devkit, up):
    root = [devkit, *devkit.parents][up]
    data = VOC(root=str(root))
    assert data.train[0].name == "2007_1"
    assert np.unique(data.train[0].mask).tolist() == [3, 255]  # class 3, not its colour's luma 113
    assert np.unique(data.val[0].mask).tolist() == [20, 255]


def test_the_palette_is_the_devkits():
    palette = voc_palette(256)
    assert palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert palette[20] == (0, 64, 128)
    assert palette[255] == (224, 224, 192)


def test_voc_names_every_place_that_was_looked_at(tmp_path):
    with pytest.raises(InputError) as error:
        VOC(root=str(tmp_path))
    for place in (tmp_path, tmp_path / "VOC2012", tmp_path / "VOCdevkit" / "VOC2012"):
        assert str(place) in str(error.value)
    assert "data.download=true" in str(error.value)


def test_voc_is_downloaded_by_torchvision_and_only_where_it_is_not_there(devkit, tmp_path, monkeypatch):
    import torchvision.datasets

    asked = []

    def fetch(root, year, download):
        asked.append((root, year, download))
        devkit.parent.rename(Path(root) / "VOCdevkit")

    monkeypatch.setattr(torchvision.datasets, "VOCSegmentation", fetch)
    root = str(tmp_path / "new")
    assert VOC(root=root, download=True).train[0].name == "2007_1"
    assert VOC(root=root, download=True).val[0].name == "2007_2"
    assert asked == [(root, "2012", True)]


def test_an_unknown_split_is_named(devkit):
    with pytest.raises(InputError, match=r"nosplit\.txt"):
        _ = VOC(root=str(devkit), val_split="nosplit").val


@pytest.fixture
def camvid(tmp_path):
    for split in ("train", "val"):
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
        Image.new("RGB", (5, 4)).save(tmp_path / split / "x.png")
        Image.fromarray(np.array([[0, 10, 11, 3, 3]] * 4, np.uint8)).save(
            tmp_path / f"{split}annot" / "x.png"
        )
        (tmp_path / f"{split}.txt").write_text(f"/SegNet/CamVid/{split}/x.png {split}annot/x.png\n")
    return tmp_path


def test_camvids_unannotated_pixels_are_ignored(camvid):
    sample = CamVid(root=str(camvid)).val[0]
    assert np.unique(sample.mask).tolist() == [0, 3, 10, 255]
    assert sample.name == "x"


def test_a_line_that_names_no_pair_is_refused(camvid):
    (camvid / "val.txt").write_text("val/x.png\n")
    with pytest.raises(InputError, match="does not name an image and a mask"):
        _ = CamVid(root=str(camvid)).val


def test_a_image_without_a_mask_is_named(tmp_path):
    pair = write_pair(tmp_path, np.zeros((3, 3), np.uint8))
    pair.mask.unlink()
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read(pair)


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path):
    pair = write_pair(tmp_path, np.zeros((3, 4), np.uint8))
    Image.new("L", (4, 5)).save(pair.mask)
    with pytest.raises(InputError, match=r"a\.png: the mask is 4×5, its image .*a\.jpg is 4×3"):
        read(pair)


def test_a_label_outside_the_classes_is_named_with_its_file(tmp_path):
    pair = write_pair(tmp_path, np.array([[0, 7], [7, 2]], np.uint8))
    with pytest.raises(InputError, match=r"a\.png: label 7 \(2 pixels\) is outside the classes 0\.\.2"):
        read(pair)


def test_a_label_above_255_is_not_wrapped_around(tmp_path):
    pair = write_pair(tmp_path, np.array([[0, 300]], np.uint16))
    with pytest.raises(InputError, match="label 300"):
        read(pair)


def test_a_mask_in_colours_is_refused(tmp_path):
    pair = write_pair(tmp_path, np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    with pytest.raises(InputError, match=r"a\.png: the mask has colours"):
        read(pair)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    pair = write_pair(tmp_path, np.zeros((3, 3), np.uint8))
    pair.image.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg: cannot be read"):
        read(pair)


def test_a_truncated_image_is_named(tmp_path):
    pair = write_pair(tmp_path, np.zeros((64, 64), np.uint8))
    pair.image.write_bytes(pair.image.read_bytes()[:900])
    with pytest.raises(InputError, match=r"a\.jpg: cannot be read"):
        read(pair)


def test_a_image_that_the_camera_turned_is_turned_back(tmp_path):
    pair = write_pair(tmp_path, np.zeros((8, 4), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (8, 4)).save(pair.image, exif=exif)
    assert read(pair).image.shape == (8, 4, 3)


def test_a_label_map_is_applied_before_the_range_is_checked(tmp_path):
    pair = write_pair(tmp_path, np.array([[0, 9]], np.uint8))
    assert read(pair, label_map={9: 255}).mask.tolist() == [[0, 255]]


def test_an_empty_split_is_refused():
    with pytest.raises(InputError, match="empty"):
        PairedFiles([], num_classes=2)


@pytest.mark.data
def test_the_real_data_sets_are_read(real_data):
    camvid = CamVid(root=str(real_data / "camvid"))
    assert (len(camvid.train), len(camvid.val)) == (367, 101)
    assert camvid.val[0].image.shape == (360, 480, 3)
    voc = VOC(root=str(real_data / "VOCdevkit"))
    for split in (voc.train, voc.val):
        for i in range(len(split)):
            assert set(np.unique(split[i].mask)) <= {*range(21), 255}


@pytest.fixture
def slices(tmp_path):
    """Ten slices of membranes in the layout of zhixuhao/unet."""
    for i in range(10):
        for kind in ("image", "label"):
            (tmp_path / "train" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).save(
                tmp_path / f"train/{kind}/{i}.png"
            )
    return str(tmp_path)


def test_a_fold_of_neighbouring_slices_validates(slices):
    data = ISBI2012(root=slices, folds=3, fold=1)
    assert [pair.name for pair in data.val.pairs] == ["3", "4", "5"]
    assert [pair.name for pair in data.train.pairs] == ["0", "1", "2", "6", "7", "8", "9"]
    assert data.val[0].mask.tolist() == [[0, 1], [1, 1]]
    assert data.val[0].image.shape == (2, 2, 3)


def test_a_fold_that_is_not_there_is_refused(slices):
    with pytest.raises(InputError, match=r"data\.fold=4 of data\.folds=4"):
        ISBI2012(root=slices, fold=4)


def test_a_split_of_files_has_the_optional_halves_and_any_other_split_need_not(devkit):
    files = VOC(root=str(devkit)).train
    halves = (HasPairs, HasLabels, HasIdentity, HasInstances)
    assert [isinstance(files, half) for half in halves] == [True] * 4
    assert [isinstance([Sample(files[0].image, files[0].mask, "a")], half) for half in halves] == [False] * 4
