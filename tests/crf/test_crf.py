import numpy as np
import pytest

from segtrain.crf import dense_crf
from segtrain.errors import InputError

pytest.importorskip("pydensecrf")
NOTHING = {"sxy": 3, "compat": 0}


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.fixture
def softmax():
    x = np.random.default_rng(1).random((4, 12, 16), np.float32) + 0.1
    return x / x.sum(0)


def test_marginals_have_the_shape_of_the_probabilities_and_sum_to_1(picture, softmax):
    refined = dense_crf(picture, softmax)
    assert refined.shape == softmax.shape
    assert refined.dtype == np.float32
    assert np.allclose(refined.sum(0), 1, atol=1e-5)


def test_a_picture_that_cannot_be_written_to_will_do(picture, softmax):
    picture.flags.writeable = False
    assert dense_crf(picture, softmax).shape == softmax.shape


def test_kernels_of_weight_0_change_nothing(picture, softmax):
    refined = dense_crf(picture, softmax, gaussian=NOTHING, bilateral=NOTHING | {"srgb": 13})
    assert np.allclose(refined, softmax, atol=1e-4)


def test_equal_probabilities_stay_equal(picture):
    refined = dense_crf(picture, np.full((4, 12, 16), 0.25, np.float32))
    assert np.allclose(refined, 0.25, atol=1e-5)


def test_permuting_the_classes_permutes_the_marginals(picture, softmax):
    order = [2, 0, 3, 1]
    assert np.allclose(dense_crf(picture, softmax[order]), dense_crf(picture, softmax)[order], atol=1e-4)


def test_a_wrong_pixel_on_a_plain_surface_is_mended():
    picture = np.full((15, 15, 3), 200, np.uint8)
    softmax = np.stack([np.full((15, 15), 0.8), np.full((15, 15), 0.2)]).astype(np.float32)
    softmax[:, 7, 7] = 0.4, 0.6
    assert softmax.argmax(0)[7, 7] == 1
    assert dense_crf(picture, softmax).argmax(0)[7, 7] == 0


def test_labels_follow_an_edge_of_the_picture():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, 10:] = 255
    softmax = np.zeros((2, 20, 20), np.float32)
    softmax[1, :, 8:] = 0.7  # the network's border is two pixels off
    softmax[1, :, :8] = 0.1
    softmax[0] = 1 - softmax[1]
    refined = dense_crf(picture, softmax).argmax(0)
    assert (refined[:, :10] == 0).all()
    assert (refined[:, 10:] == 1).all()


def test_what_does_not_fit_is_named(picture, softmax):
    with pytest.raises(InputError, match="the probabilities are"):
        dense_crf(picture[:5], softmax)
    with pytest.raises(InputError, match=r"dense_crf\.gaussian\.sxy=0"):
        dense_crf(picture, softmax, gaussian={"sxy": 0, "compat": 3})
    with pytest.raises(InputError, match="backend=gpu"):
        dense_crf(picture, softmax, backend="gpu")
    with pytest.raises(InputError, match=r"dense_crf\.bilateral has the keys"):
        dense_crf(picture, softmax, bilateral={"sxy": 3, "compat": 3})
