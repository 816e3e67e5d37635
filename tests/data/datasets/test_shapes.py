import numpy as np
import pytest

from segtrain.contracts import IGNORE_INDEX
from segtrain.data.datasets.shapes import CLASS_NAMES, Shapes
from segtrain.errors import InputError


def test_a_image_depends_on_seed_split_and_index_alone():
    one, again, other = Shapes(size=48), Shapes(size=48), Shapes(size=48, seed=1)
    assert np.array_equal(one.train[5].image, again.train[5].image)
    assert np.array_equal(one.train[5].mask, again.train[5].mask)
    assert not np.array_equal(one.train[5].image, other.train[5].image)
    assert not np.array_equal(one.train[5].image, one.train[6].image)


def test_train_and_val_share_nothing():
    data = Shapes(size=32, train_images=50, val_images=50)
    train = {data.train[i].image.tobytes() for i in range(50)}
    assert not train & {data.val[i].image.tobytes() for i in range(50)}


def test_every_class_is_drawn_and_outlines_are_ignored():
    masks = np.stack([Shapes(size=64).train[i].mask for i in range(60)])
    assert set(np.unique(masks)) == {*range(len(CLASS_NAMES)), IGNORE_INDEX}
    assert 0.04 < (masks == IGNORE_INDEX).mean() < 0.25
    # No two classes touch: a ignored pixel lies between them.
    a, b = masks[:, :, :-1].astype(int), masks[:, :, 1:].astype(int)
    assert not ((a != b) & (a != IGNORE_INDEX) & (b != IGNORE_INDEX)).any()


def test_samples_are_bytes_of_the_asked_size():
    sample = Shapes(size=40).val[0]
    assert (sample.image.shape, sample.image.dtype) == ((40, 40, 3), np.uint8)
    assert (sample.mask.shape, sample.mask.dtype) == ((40, 40), np.uint8)


@pytest.mark.parametrize("key", ["size", "train_images", "val_images", "test_images", "seed"])
def test_a_number_below_the_least_is_refused(key):
    with pytest.raises(InputError, match=rf"data\.{key}=-1; give at least"):
        Shapes(**{key: -1})


def test_another_number_of_classes_is_refused():
    with pytest.raises(InputError, match="shapes has 7 classes"):
        Shapes(num_classes=8)
