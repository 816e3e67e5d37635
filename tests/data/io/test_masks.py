"""What masks hold, in every kind of image file that people store them in."""

import numpy as np
import pytest
from PIL import Image

from segtrain.data.datasets.folder import Folder
from segtrain.data.io.masks import read_mask
from segtrain.errors import InputError

VALUES = np.array([[0, 1, 2], [0, 2, 255]])


@pytest.mark.parametrize(("kind", "order"), [("I;16", "<u2"), ("I;16B", ">u2")])
def test_numbers_of_16_bits_are_the_same_in_both_byte_orders(tmp_path, kind, order):
    Image.frombytes(kind, (3, 2), VALUES.astype(order).tobytes()).save(tmp_path / "a.tif")
    mask = read_mask(tmp_path / "a.tif")
    assert mask.tolist() == VALUES.tolist()
    assert mask.dtype.isnative


def test_whole_floating_point_numbers_are_taken(tmp_path):
    Image.fromarray(VALUES.astype(np.float32)).save(tmp_path / "a.tif")
    assert read_mask(tmp_path / "a.tif").tolist() == VALUES.tolist()
    Image.fromarray(VALUES.astype(np.float32) / 2).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match="floating-point numbers that are not whole"):
        read_mask(tmp_path / "b.tif")


@pytest.mark.parametrize("kind", ["u1", "<i8", ">u2", "f4"])
def test_numbers_of_an_array_file_are_labels(tmp_path, kind):
    np.save(tmp_path / "a.npy", VALUES.astype(kind))
    mask = read_mask(tmp_path / "a.npy")
    assert mask.tolist() == VALUES.tolist()
    assert mask.dtype.isnative
    np.savez(tmp_path / "a.npz", VALUES.astype(kind))
    assert read_mask(tmp_path / "a.npz").tolist() == VALUES.tolist()
    np.savez(tmp_path / "c.npz", image=np.zeros((2, 3)), mask=VALUES.astype(kind))
    assert read_mask(tmp_path / "c.npz").tolist() == VALUES.tolist()
    np.save(tmp_path / "b.npy", VALUES[..., None] > 0)
    assert read_mask(tmp_path / "b.npy").tolist() == [[0, 1, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (VALUES / 2, "floating-point numbers that are not whole"),
        (np.eye(3, dtype=np.uint8)[VALUES % 3], r"must be H×W whole numbers, got \(2, 3, 3\) of uint8"),
        (np.array([[None]]), "cannot be read"),
    ],
)
def test_an_array_file_that_is_no_mask_is_refused(tmp_path, values, words):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(InputError, match=words):
        read_mask(tmp_path / "a.npy")


def test_an_archive_without_a_mask_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=VALUES, y=VALUES)
    with pytest.raises(InputError, match="holds the arrays x, y; name one of them mask"):
        read_mask(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:99])
    with pytest.raises(InputError, match="cannot be read"):
        read_mask(tmp_path / "b.npz")


def test_what_differs_in_its_alpha_channel_alone_is_refused(tmp_path):
    image = Image.new("RGBA", (3, 2))
    image.putalpha(Image.fromarray(VALUES.astype(np.uint8)))
    image.save(tmp_path / "a.png")
    with pytest.raises(InputError, match="only the alpha channel differs"):
        read_mask(tmp_path / "a.png")


def sideways(folder, *, mask_too):
    """Two images that EXIF turns, each with a mask that is turned by it too or not."""
    for below in ("images", "masks"):
        (folder / below).mkdir(parents=True)
    exif = Image.Exif()
    exif[274] = 6
    for name in "ab":
        Image.new("RGB", (3, 2)).save(folder / f"images/{name}.jpg", exif=exif)
        mask = Image.fromarray(VALUES.astype(np.uint8))
        mask.save(folder / f"masks/{name}.png", exif=exif if mask_too else b"")
    return Folder(root=str(folder), num_classes=3)


def test_a_mask_is_turned_by_its_own_exif(tmp_path):
    sample = sideways(tmp_path / "both", mask_too=True).train[0]
    assert sample.image.shape[:2] == sample.mask.shape == (3, 2)
    assert sample.mask.tolist() == np.rot90(VALUES, -1).tolist()
    with pytest.raises(InputError, match="EXIF orientation 6 turns the image"):
        _ = sideways(tmp_path / "one", mask_too=False).train[0]
