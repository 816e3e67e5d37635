"""What `segdata action=check` finds: everything that is wrong, and nothing that is not."""

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset

from segtrain.contracts import Sample
from segtrain.data.checks.check import check_data, check_start
from segtrain.data.checks.sample_check import KINDS
from segtrain.data.datasets.folder import Folder
from segtrain.data.datasets.shapes import Shapes
from segtrain.errors import InputError
from tests.data.malformed import (
    CLASSES,
    HEIGHT,
    WIDTH,
    add,
    add_broken_files,
    encoded,
    labels,
    noise,
    turned,
)


def check(make):
    return check_data(make, lambda *_: nullcontext())


def check_folder(root: Path, **keys):
    keys = {"num_classes": CLASSES, "train_split": "train", "val_split": "val"} | keys
    return check(lambda: Folder(root=str(root), **keys))


def said_of(report, file: str) -> list[str]:
    """The faults of a file, each with its kind."""
    return [f"{fault.kind}: {fault.what}" for fault in report.faults if Path(fault.where).name == file]


@pytest.fixture
def good(tmp_path):
    """A data set without a fault: two images to train on, one to validate."""
    for i, split in enumerate(("train", "train", "val")):
        add(tmp_path, f"good{i}.png", encoded(noise(100 + i)), encoded(labels()), split=split)
    return tmp_path


def test_a_good_data_set_has_no_fault(good):
    report = check_folder(good)
    assert report.faults == []
    assert {name: len(split) for name, split in report.splits.items()} == {"train": 2, "val": 1}
    assert report.pixels["train"][[0, 1, 2, 255]].tolist() == [2 * HEIGHT * WIDTH // 4] * 4


def test_a_data_set_that_is_drawn_is_checked_too():
    assert check(lambda: Shapes(size=32, train_images=40, val_images=3)).faults == []


def test_every_broken_image_and_mask_is_named_at_once_and_nothing_else(good):
    expected = add_broken_files(good)
    assert len(expected) >= 60
    report = check_folder(good)
    silent = [
        name for name, why in expected.items() if not any(why in said for said in said_of(report, name))
    ]
    assert silent == []
    assert {Path(fault.where).name for fault in report.faults} == set(expected)
    assert {fault.kind for fault in report.faults} <= set(KINDS)
    assert not any("Error" in fault.what or "\n" in fault.what for fault in report.faults)


def odd_images(seed: int) -> dict[str, tuple[bytes, tuple[int, int]]]:
    """Images as cameras, scanners and old programs write them: name -> bytes and (height, width)."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(2, 40)), int(rng.integers(2, 40))
    rgb = noise(seed, height, width)
    grey, deep = rgb.convert("L"), Image.fromarray(rng.integers(0, 65536, (height, width)).astype(np.uint16))
    profile = {"icc_profile": bytes(200)}
    size = (height, width)
    files = {
        "rgb.png": encoded(rgb),
        "grey.png": encoded(grey),
        "alpha.png": encoded(rgb.convert("RGBA")),
        "grey alpha.png": encoded(grey.convert("LA")),
        "palette.png": encoded(rgb.quantize(16)),
        "clear.png": encoded(rgb.quantize(8), transparency=3),
        "bits.png": encoded(grey.convert("1", dither=Image.Dither.FLOYDSTEINBERG)),
        "16 bits.png": encoded(deep),
        "16.tif": encoded(deep, "TIFF"),
        "PLAIN.JPG": encoded(rgb, "JPEG"),
        "größe.jpeg": encoded(rgb, "JPEG", quality=100, subsampling=0),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "grey.v2.jpg": encoded(grey, "JPEG"),
        "profile.jpg": encoded(rgb, "JPEG", **profile),
        "upright.jpg": encoded(rgb, "JPEG", exif=turned(1)),
        "odd exif.jpg": encoded(rgb, "JPEG", exif=turned(9)),
        "trailing.jpg": encoded(rgb, "JPEG") + b"\0" * 40,
        "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.TIFF": encoded(grey, "TIFF", compression="tiff_adobe_deflate"),
        "rgb.bmp": encoded(rgb, "BMP"),
        "grey.bmp": encoded(grey, "BMP"),
        "plain.gif": encoded(rgb, "GIF"),
        "lossless.webp": encoded(rgb, "WEBP", lossless=True),
        "plain.ppm": encoded(rgb, "PPM"),
        "plain.pgm": encoded(grey, "PPM"),
    }
    found = {name: (content, size) for name, content in files.items()}
    lying = noise(seed + 1, 12, 30)  # stored lying on its side, with a mask that stands
    found["turned.jpg"] = (encoded(lying, "JPEG", exif=turned(6)), (30, 12))
    found["line.png"] = (encoded(noise(seed + 2, 1, 47)), (1, 47))
    found["column.png"] = (encoded(noise(seed + 3, 97, 1)), (97, 1))
    found["long.png"] = (encoded(noise(seed + 4, 3, 900)), (3, 900))
    return found


def odd_masks(height: int, width: int) -> list[bytes]:
    """A mask of every kind that stores labels."""
    mask = labels(height, width)
    palette = Image.fromarray(mask, "P")
    palette.putpalette([value for label in range(256) for value in (label, 255 - label, 7 * label % 256)])
    small = Image.fromarray(mask % 3, "P")
    small.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    return [
        encoded(mask),
        encoded(palette),
        encoded(small, bits=2),
        encoded(mask.astype(np.uint16)),
        encoded(mask, compress_level=0),
        encoded(Image.fromarray(mask == 1)),
        encoded(np.full_like(mask, 255)),
        encoded(np.full_like(mask, 2), optimize=True),
        encoded(palette, transparency=0),
    ]


def test_nothing_is_said_of_500_odd_but_legal_files(tmp_path):
    files = 0
    for seed in range(10):
        split = "val" if seed % 3 == 0 else "train"
        for i, (name, (content, size)) in enumerate(odd_images(1000 * seed).items()):
            masks = odd_masks(*size)
            name, masked = f"{seed}{i} {name}", f"{seed}{i} mask.png"
            add(tmp_path, name, content, masks[(seed + i) % len(masks)], masked=masked, split=split)
            files += 2
    assert files >= 500
    assert check_folder(tmp_path).faults == []


def faults(report) -> list[str]:
    return [f"{fault.kind}: {fault.what}" for fault in report.faults]


def test_all_lines_of_a_list_that_are_wrong_are_named_and_the_others_are_read(good):
    with (good / "train.txt").open("a") as lines:
        lines.write("images/good0.png, masks/good0.png\nnothing\na, b, c\nimages/gone.png, masks/lost.png\n")
    add(good, "bad.png", b"", encoded(labels()))
    found = "\n".join(faults(check_folder(good)))
    for words in (
        "good0.png is in it 2 times",
        "nothing has no image",
        "'a, b, c' does not name",
        "is empty",
    ):
        assert words in found
    for name in ("gone.png: no such file", "lost.png: no such file"):
        assert name in found


def test_images_and_masks_without_a_counterpart_are_all_named(good):
    for i in range(3):
        (good / f"images/alone{i}.png").write_bytes(encoded(noise(i)))
        (good / f"masks/single{i}.png").write_bytes(encoded(labels()))
    found = "\n".join(faults(check_folder(good, train_split=None, val_split=None)))
    for i in range(3):
        assert f"alone{i}.png has no mask" in found
        assert f"single{i}.png has no image" in found


def test_the_same_image_in_both_splits_is_known_by_its_pixels(good):
    image = noise(100)  # the first one that is trained on, as another file of another kind
    add(good, "copy.bmp", encoded(image, "BMP"), encoded(labels()), split="val")
    (fault,) = check_folder(good).faults
    assert fault.kind == "overlap"
    assert "copy.bmp" in fault.where
    assert "good0.png" in fault.what


def test_a_split_that_cannot_be_made_does_not_keep_the_other_from_being_read(good):
    add(good, "bad.png", b"", encoded(labels()), split="val")
    (good / "train.txt").write_text("\n")
    kinds = {fault.kind for fault in check_folder(good).faults}
    assert kinds == {"made", "unreadable"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"root": "nowhere"}, "nowhere"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"class_names": ["one"]}, "class_names"),
        ({"label_map": {"x": 1}}, "label_map"),
        ({"label_map": {"7": 12}}, "label_map"),
        ({"train_split": "trian"}, "trian"),
    ],
)
def test_a_data_set_that_cannot_be_made_is_a_fault_and_no_traceback(good, keys, words):
    keys = {"root": str(good), "num_classes": CLASSES, "train_split": "train", "val_split": "val"} | keys
    assert any(words in said for said in faults(check(lambda: Folder(**keys))))


def test_a_data_set_of_the_users_own_must_say_what_its_classes_are():
    own = type("Own", (), {"train": [1], "val": [1]})()
    assert faults(check(lambda: own)) == ["made: AttributeError: 'Own' object has no attribute 'class_names'"]
    own.class_names, own.palette = ("a", "b"), ((0, 0, 0),)
    assert faults(check(lambda: own)) == ["made: 2 class_names, but 1 colours in palette"]


def test_a_class_that_training_never_shows_is_named(good):
    (fault,) = check_folder(good, num_classes=5, class_names=["a", "b", "c", "d", "e"]).faults
    assert fault == ("unseen", "train", "no pixel is d, e")


class Own(Dataset):
    """A data set of the user's own that yields whatever it is given."""

    def __init__(self, *samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        if isinstance(self.samples[index], Exception):
            raise self.samples[index]
        return self.samples[index]


def test_faults_of_a_data_set_that_is_no_list_of_files_are_named_by_the_sample():
    image, mask = np.asarray(noise(0)), labels()
    data = type("Data", (), {"class_names": ("a", "b", "c"), "palette": ((0, 0, 0),) * 3})()
    data.train = Own(
        Sample(image, mask, "good"),
        Sample(image.astype(float), mask, "float"),
        Sample(image, mask.astype(int), "wide"),
        Sample(image, np.where(mask == 2, 9, mask).astype(np.uint8), "nine"),
        Sample(image, mask[1:], "low"),
        ZeroDivisionError("own code"),
    )
    data.val = Own(Sample(np.asarray(noise(1)), mask, "val"))
    found = {fault.where: f"{fault.kind}: {fault.what}" for fault in check(lambda: data).faults}
    assert found.keys() == {"float", "wide", "nine", "low", "train[5]"}
    assert "float64" in found["float"]
    assert found["wide"].startswith("mask: ")
    assert "label 9 (192 pixels)" in found["nine"]
    assert found["low"].startswith("size: ")
    assert "ZeroDivisionError: own code" in found["train[5]"]


def test_the_start_of_a_training_looks_at_the_first_sample_of_each_split(good):
    check_start(Shapes(size=32, train_images=1, val_images=1))
    image, mask = np.asarray(noise(0)), labels()
    sound, nine = Sample(image, mask, "sound"), Sample(image, mask % 10 + 7, "nine")
    data = type("Data", (), {"class_names": ("a", "b", "c")})()
    for train, val, words in (
        (Own(sound), Own(), r"data\.val: the split is empty"),
        (Own(sound), Own(nine), "nine: label 7"),
        (Own(Sample(image, mask[None], "deep")), Own(sound), "deep: the mask is uint8"),
        (Own(InputError("lost.png: no such file")), Own(sound), r"lost\.png"),
    ):
        data.train, data.val = train, val
        with pytest.raises(InputError, match=words):
            check_start(data)


def test_a_directory_in_place_of_a_image_is_named(good):
    (good / "images" / "folder.png").mkdir()
    with (good / "train.txt").open("a") as lines:
        lines.write("images/folder.png, masks/good0.png\n")
    assert any("folder.png: no such file" in said for said in faults(check_folder(good)))


def test_a_pipe_among_the_images_hangs_nothing(good):
    (good / "images/good0.png").unlink()
    os.mkfifo(good / "images/good0.png")
    assert any("good0.png" in fault.what + fault.where for fault in check_folder(good).faults)
