"""What a dense CRF does, whatever computes it."""

import subprocess
import sys

import numpy as np
import pytest

from segtrain import crf
from segtrain.crf import dense_crf, dense_crf_labels
from segtrain.errors import InputError
from tests.crf.conftest import network_softmax, photograph

NOTHING = {"sxy": 3, "compat": 0}


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.fixture
def softmax():
    x = np.random.default_rng(1).random((4, 12, 16), np.float32) + 0.1
    return x / x.sum(0)


def test_marginals_have_the_shape_of_the_probabilities_and_sum_to_1(image, softmax, backend):
    refined = dense_crf(image, softmax, backend=backend)
    assert refined.shape == softmax.shape
    assert refined.dtype == np.float32
    assert np.allclose(refined.sum(0), 1, atol=1e-5)


def test_labels_are_the_argmax_of_the_marginals(image, softmax, backend):
    labels = dense_crf_labels(image, softmax, backend=backend)
    assert np.array_equal(labels, dense_crf(image, softmax, backend=backend).argmax(0))


def test_arrays_that_cannot_be_written_to_and_double_precision_will_do(image, softmax, backend):
    refined = dense_crf(image, softmax, backend=backend)
    image.flags.writeable = softmax.flags.writeable = False
    assert np.array_equal(dense_crf(image, softmax, backend=backend), refined)
    assert np.array_equal(dense_crf(image, softmax.astype(float), backend=backend), refined)


@pytest.mark.parametrize("kernels", [(NOTHING, NOTHING | {"srgb": 13}), (None, None), ([], [])])
def test_kernels_of_weight_0_and_none_at_all_change_nothing(image, softmax, backend, kernels):
    refined = dense_crf(image, softmax, gaussian=kernels[0], bilateral=kernels[1], backend=backend)
    assert np.allclose(refined, softmax, atol=1e-6)


def test_no_iteration_changes_nothing(image, softmax, backend):
    assert np.allclose(dense_crf(image, softmax, iterations=0, backend=backend), softmax, atol=1e-6)


def test_equal_probabilities_stay_equal(image, backend):
    refined = dense_crf(image, np.full((4, 12, 16), 0.25, np.float32), backend=backend)
    assert np.allclose(refined, 0.25, atol=1e-5)


def test_permuting_the_classes_permutes_the_marginals(image, softmax, backend):
    order = [2, 0, 3, 1]
    refined = dense_crf(image, softmax, backend=backend)
    assert np.allclose(dense_crf(image, softmax[order], backend=backend), refined[order], atol=1e-4)


def test_a_wrong_pixel_on_a_plain_surface_is_mended(backend):
    image = np.full((15, 15, 3), 200, np.uint8)
    softmax = np.stack([np.full((15, 15), 0.8), np.full((15, 15), 0.2)]).astype(np.float32)
    softmax[:, 7, 7] = 0.4, 0.6
    assert softmax.argmax(0)[7, 7] == 1
    assert dense_crf(image, softmax, backend=backend).argmax(0)[7, 7] == 0


def test_labels_follow_an_edge_of_the_image(backend):
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = 255
    softmax = np.zeros((2, 20, 20), np.float32)
    softmax[1, :, 8:] = 0.7  # the network's border is two pixels off
    softmax[1, :, :8] = 0.1
    softmax[0] = 1 - softmax[1]
    refined = dense_crf(image, softmax, backend=backend).argmax(0)
    assert (refined[:, :10] == 0).all()
    assert (refined[:, 10:] == 1).all()


def test_a_plain_image_stays_plain_and_one_iteration_adds_the_weights_times_the_marginals(backend):
    """With the output normalised, a filtered plain image is itself: softmax(log p + (w1 + w2) p)."""
    p = np.array([0.5, 0.3, 0.2], np.float32)
    softmax = np.broadcast_to(p[:, None, None], (3, 14, 18))
    kernels = {
        "gaussian": {"sxy": 2, "compat": 1.5, "normalization": "after"},
        "bilateral": {"sxy": 5, "srgb": 10, "compat": 2, "normalization": "after"},
    }
    image = np.full((14, 18, 3), 90, np.uint8)
    refined = dense_crf(image, softmax, iterations=1, **kernels, drop_below=0, backend=backend)
    expected = p * np.exp(3.5 * p)
    assert np.allclose(refined, (expected / expected.sum())[:, None, None], atol=1e-5)


def test_a_matrix_of_costs_is_a_potts_weight_where_it_is_minus_that_weight_on_the_diagonal(softmax, backend):
    image = np.zeros((12, 16, 3), np.uint8)
    potts = dense_crf(image, softmax, gaussian={"sxy": 3, "compat": 2}, bilateral=None, backend=backend)
    for compat in (-2 * np.eye(4), [-2, -2, -2, -2]):
        kernel = {"sxy": 3, "compat": compat}
        refined = dense_crf(image, softmax, gaussian=kernel, bilateral=None, backend=backend)
        assert np.allclose(refined, potts, atol=1e-5)


def test_labels_that_one_iteration_leaves_nowhere_take_no_part_in_the_others(backend):
    image, few = photograph(40, 50), network_softmax(3, 40, 50)
    softmax = np.full((20, 40, 50), 0.002, np.float32)
    softmax[[4, 9, 15]] = few
    softmax[10:15, 20, 20] = softmax[16:, 20, 20] = 0.4  # one pixel of noise
    softmax /= softmax.sum(0)
    exact = dense_crf(image, softmax, drop_below=0, backend=backend)
    refined = dense_crf(image, softmax, drop_below=0.2, backend=backend)
    assert set(np.flatnonzero(exact.any((1, 2)))) == set(range(20))
    assert set(np.flatnonzero(refined.any((1, 2)))) == {4, 9, 15}
    assert np.array_equal(refined.argmax(0), exact.argmax(0))
    labels = dense_crf_labels(image, softmax, drop_below=0.2, backend=backend)
    assert np.array_equal(labels, exact.argmax(0))


@pytest.mark.parametrize("size", [(300, 400), (250, 201), (2, 60_000)])
def test_a_small_object_of_a_large_image_keeps_its_label(size):
    pytest.importorskip("numba")
    image, softmax = np.full((*size, 3), 90, np.uint8), np.full((12, *size), 0.01, np.float32)
    softmax[3] = 0.89
    image[-9:, 101:110] = 200
    softmax[:, -9:, 101:110] = 0.01
    softmax[7, -9:, 101:110] = 0.89
    refined = dense_crf(image, softmax, backend="numba")
    assert set(np.flatnonzero(refined.any((1, 2)))) == {3, 7}
    assert (refined.argmax(0) == 7).sum() == min(9, size[0]) * 9


def test_what_does_not_fit_is_named(image, softmax):
    with pytest.raises(InputError, match="the image must be"):
        dense_crf(image[:5], softmax)
    with pytest.raises(InputError, match="the image must be"):
        dense_crf(np.full((12, 16, 3), np.nan), softmax)
    with pytest.raises(InputError, match="must be finite"):
        dense_crf(image, np.full_like(softmax, np.nan))
    with pytest.raises(InputError, match="backend must be auto"):
        dense_crf(image, softmax, backend="gpu")
    with pytest.raises(InputError, match="iterations must be"):
        dense_crf(image, softmax, iterations=-1)
    with pytest.raises(InputError, match="drop_below must be"):
        dense_crf(image, softmax, drop_below=1)


@pytest.mark.parametrize("choice", ["numba", "torch"])
def test_std_that_leave_the_64_bits_of_a_key_are_named(choice, softmax):
    pytest.importorskip(choice)
    image = np.random.default_rng(0).normal(0, 1e4, (12, 16, 3))
    with pytest.raises(InputError, match=r"bits.*give a larger sxy or srgb"):
        dense_crf(image, softmax, bilateral={"sxy": 1e-2, "srgb": 1e-2, "compat": 1}, backend=choice)


def test_neither_numba_nor_torch_is_loaded_before_it_is_needed():
    script = "import segtrain.crf.tuning, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numba", "torch", "pydensecrf"} & set(done.stdout.split())


def test_auto_takes_pydensecrf_where_numba_does_not_import(image, softmax, monkeypatch):
    pytest.importorskip("pydensecrf")
    expected = dense_crf(image, softmax, backend="pydensecrf")
    monkeypatch.setitem(sys.modules, "segtrain.crf.cpu.backend", None)
    assert np.array_equal(dense_crf(image, softmax), expected)
    with pytest.raises(InputError, match="pip install numba"):
        dense_crf(image, softmax, backend="numba")


def test_auto_takes_torch_where_it_has_a_gpu_and_numba_elsewhere(monkeypatch):
    pytest.importorskip("numba")
    for gpu, backend in ((True, "torch"), (False, "numba")):
        monkeypatch.setattr("torch.cuda.is_available", lambda gpu=gpu: gpu)
        assert crf._backend("auto").__name__ == crf.BACKENDS[backend]
