"""Images that look alike in two splits, the same ones, and groups that are in two."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from segtrain.contracts import Sample
from segtrain.data.checks.alike import MOST_BITS, hashes, look, most_alike
from segtrain.data.checks.check import check_data
from segtrain.data.datasets.shapes import draw_scene


def scene(number: int, size: int = 96) -> np.ndarray:
    return draw_scene(np.random.default_rng(number), size)[0]


def compressed(image: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    "change",
    [
        compressed,
        lambda image: cv2.resize(image, (50, 50), interpolation=cv2.INTER_AREA),
        lambda image: (image * 0.8 + 10).astype(np.uint8),
        lambda image: image.astype(np.uint16) * 16,
        lambda image: np.concatenate([image, image.mean(2, keepdims=True), image], 2).astype(np.int16),
        lambda image: image[1:-1, 1:-1],
    ],
)
def test_a_copy_looks_the_same_and_another_image_does_not(change):
    images = [scene(i) for i in range(12)]
    found = list(most_alike(hashes([look(i) for i in images]), hashes([look(change(i)) for i in images])))
    assert [(i, j) for i, j, _ in found] == [(i, i) for i in range(12)]
    assert max(bits for _, _, bits in found) <= MOST_BITS


def test_flat_images_look_like_nothing():
    flat = look(np.full((40, 40, 3), 7, np.uint8))
    assert flat is None
    assert list(most_alike(hashes([flat]), hashes([flat]))) == []
    assert look(np.full((40, 40, 2), np.nan, np.float32)) is None
    assert look(np.zeros((40, 40), np.uint8)) is None  # a data set of the user's own may yield anything
    assert list(most_alike(hashes([]), hashes([look(scene(0))]))) == []


class Listed(list):
    """A split in memory."""


class Data:
    class_names, palette, group = ("a", "b"), ((0, 0, 0), (9, 9, 9)), None

    def __init__(self, **splits):
        for name, images in splits.items():
            labels = np.arange(96 * 96).reshape(96, 96) % 2
            samples = (Sample(image, labels.astype(np.uint8), title) for title, image in images.items())
            setattr(self, name, Listed(samples))

    def group_of(self, name):
        return name[0]


def check(data):
    class Quiet:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return lambda _: None

        def __exit__(self, *_):
            return False

    return check_data(lambda: data, Quiet)


def test_every_pair_of_splits_is_compared():
    data = Data(
        train={"a1": scene(1), "a2": scene(2)},
        val={"b1": scene(3), "b2": compressed(scene(1))},
        test={"c1": scene(3), "c2": compressed(scene(2)), "c3": scene(4)},
    )
    report = check(data)
    (fault,) = report.faults
    assert (fault.kind, fault.where, fault.what) == ("overlap", "c1", "the same image as b1 in val")
    pairs = [(one.where, one.split, one.other, one.other_split) for one in report.alike]
    assert pairs == [("b2", "val", "a1", "train"), ("c2", "test", "a2", "train")]


def test_a_group_of_two_splits_is_a_fault():
    data = Data(train={"a1": scene(1), "a2": scene(2)}, val={"b": scene(3)}, test={"a3": scene(4)})
    assert check(data).faults == []
    data.group = "^."
    (fault,) = check(data).faults
    assert (fault.kind, fault.where, fault.what) == ("group", "a", "2 images in train, 1 in test")
