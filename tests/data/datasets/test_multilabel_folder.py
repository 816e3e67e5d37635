"""Masks of several classes a pixel, in every form that they are stored in."""

import numpy as np
import pytest
from PIL import Image

from segtrain.data.datasets.multilabel_folder import MultilabelFolder
from segtrain.engine.loader import Augmented, collate
from segtrain.errors import InputError

RED = np.array([[1, 1, 0], [0, 0, 0]], bool)
BLUE = np.array([[0, 1, 0], [0, 1, 1]], bool)
IGNORED = np.array([[0, 0, 0], [1, 0, 0]], bool)
STACK = np.stack([BLUE, RED], -1) + 255 * IGNORED[..., None].astype(np.uint8)


def write(root, name: str, **masks: np.ndarray) -> None:
    for folder in (root / "images", root / "masks" / name):
        folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2)).save(root / f"images/{name}.png")
    for file, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / f"masks/{name}/{file}.png")


@pytest.fixture
def root(tmp_path):
    """a has both classes and ignored pixels, b one class, c is an array."""
    write(tmp_path, "a", red=RED, blue=BLUE, ignored=IGNORED)
    write(tmp_path, "b", red=RED)
    Image.new("RGB", (3, 2)).save(tmp_path / "images/c.png")
    np.savez(tmp_path / "masks/c.npz", STACK.transpose(2, 0, 1))
    return tmp_path


def samples(root, **keys) -> dict:
    data = MultilabelFolder(root=str(root), **keys)
    return {s.name: s for split in (data.train, data.val) for s in (split[i] for i in range(len(split)))}


def test_stacks_of_files_and_arrays_give_one_mask(root):
    data = MultilabelFolder(root=str(root))
    assert data.class_names == ("blue", "red")
    assert (0, 0, 0) not in data.palette
    found = samples(root)
    assert np.array_equal(found["a"].mask, STACK)
    assert np.array_equal(found["c"].mask, STACK)
    assert np.array_equal(found["b"].mask, np.stack([np.zeros_like(RED), RED], -1))
    assert found["a"].mask.dtype == np.uint8


def test_class_names_order_the_classes(root):
    (root / "masks/c.npz").unlink()
    (root / "images/c.png").unlink()
    found = samples(root, class_names=["red", "green", "blue"])
    assert np.array_equal(found["a"].mask[..., [2, 0]], STACK)
    assert found["b"].mask[..., 1].sum() == 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2, 3), np.uint8), "holds 3×2×3; store one array of 2×H×W"),
        (np.full((2, 2, 3), 7), "holds 7; store 0, 1 and 255"),
        (np.zeros((2, 5, 3), np.uint8), "the mask is 3×5, its image"),
    ],
)
def test_an_array_that_does_not_fit_is_named(root, array, message):
    np.savez(root / "masks/c.npz", array)
    with pytest.raises(InputError) as error:
        samples(root)
    assert "c.npz" in str(error.value)
    assert message in str(error.value)


def test_a_file_of_no_class_and_an_image_without_a_mask_are_named(root):
    with pytest.raises(InputError, match=r"red\.png: no class is called red, there are blue, green"):
        samples(root, class_names=["blue", "green"])
    Image.new("RGB", (3, 2)).save(root / "images/d.png")
    with pytest.raises(InputError, match=r"d\.png has no mask"):
        samples(root)
    (root / "masks/c.npz").write_bytes(b"nothing")
    (root / "images/d.png").unlink()
    with pytest.raises(InputError, match=r"c\.npz: cannot be read"):
        samples(root)


def test_augmentation_and_batches_keep_the_classes(root):
    import albumentations

    data = MultilabelFolder(root=str(root), val_fraction=0.4)
    augmented = Augmented(data.train, [albumentations.HorizontalFlip(p=1)], seed=0)
    plain = [data.train[i] for i in range(len(data.train))]
    _, masks, _ = collate([augmented[0, i] for i in range(len(plain))])
    assert masks.shape == (len(plain), 2, 2, 3)
    assert np.array_equal(masks[0].movedim(0, -1).numpy(), plain[0].mask[:, ::-1])
