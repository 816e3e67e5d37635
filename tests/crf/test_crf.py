"""What a dense CRF does, whatever computes it."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from segtrain.crf import dense_crf, dense_crf_labels
from segtrain.crf.backends import BACKENDS, load_backend
from segtrain.errors import InputError
from tests.conftest import needs_pydensecrf
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


def with_an_object(size, label, top, left, height, width, labels=20):
    """A plain image of label 3 with an object of another label, and a network that is sure of both."""
    image, softmax = np.full((*size, 3), 90, np.uint8), np.full((labels, *size), 0.01, np.float32)
    softmax[3] = 1 - 0.01 * (labels - 1)
    rows, columns = slice(top, top + height), slice(left, left + width)
    image[rows, columns] = 200
    softmax[[3, label], rows, columns] = softmax[[label, 3], rows, columns]
    return image, softmax


@pytest.mark.parametrize("drop_below", [0, 0.1])
@pytest.mark.parametrize("size", [(13, 17), (300, 400), (2, 6000)])
@pytest.mark.parametrize("thin", [(1, 1), (1, 9), (2, 3), (2, 1)])
def test_an_object_of_a_few_pixels_keeps_its_label(size, thin, drop_below):
    """Wherever it stands: between the rows and columns that a sampled search would look at."""
    pytest.importorskip("numba")
    for offset in range(4):
        image, softmax = with_an_object(size, 7, size[0] - thin[0], 5 + offset, *thin)
        refined = dense_crf(image, softmax, drop_below=drop_below, backend="numba")
        expected = {3, 7} if drop_below else set(range(20))
        assert set(np.flatnonzero(refined.any((1, 2)))) == expected
        assert (refined.argmax(0) == 7).sum() == np.prod(thin)


def weak_but_growing(size, labels=24):
    """A label of 8 % everywhere, beside others that contradict each other from pixel to pixel: at no
    pixel it is near the largest, and after some iterations it is the largest everywhere."""
    rng = np.random.default_rng(0)
    softmax = np.full((labels, *size), 0.01 / (labels - 2), np.float32)
    softmax[0] = 0.08
    np.put_along_axis(softmax, rng.integers(1, labels, (1, *size)), np.float32(0.91), 0)
    return np.full((*size, 3), 90, np.uint8), softmax / softmax.sum(0)


def noise(height, width):
    """A softmax that is as good as one-hot, another class at each pixel."""
    return np.random.default_rng(3).dirichlet(np.full(21, 0.1), (height, width)).transpose(2, 0, 1)


ADVERSARIES = {
    "weak but growing": weak_but_growing((13, 17)),
    "one pixel": with_an_object((13, 17), 7, 6, 6, 1, 1),
    "a column": with_an_object((61, 83), 7, 0, 41, 61, 1),
    "noise": (photograph(13, 17), noise(13, 17)),
    "absent classes": (photograph(47, 31), np.pad(network_softmax(3, 47, 31), ((0, 18), (0, 0), (0, 0)))),
}


@needs_pydensecrf
@pytest.mark.parametrize("name", ADVERSARIES)
@pytest.mark.parametrize("iterations", [1, 10])
def test_the_default_loses_no_label_on_any_input(backend, name, iterations):
    """Marginals as the authors' code gives them, which drops nothing."""
    image, softmax = ADVERSARIES[name]
    refined = dense_crf(image, softmax, iterations=iterations, backend=backend)
    reference = dense_crf(image, softmax, iterations=iterations, backend="pydensecrf")
    assert np.abs(refined - reference).max() < 1e-3
    labels = dense_crf_labels(image, softmax, iterations=iterations, backend=backend)
    assert (labels == reference.argmax(0)).mean() > 0.995


def test_a_label_that_is_weak_everywhere_can_win(backend):
    image, softmax = ADVERSARIES["weak but growing"]
    assert (softmax[0] < 0.1 * softmax.max(0)).all()
    assert (dense_crf_labels(image, softmax, backend=backend) == 0).all()


def test_labels_are_dropped_that_are_nowhere_a_share_of_the_largest(backend):
    image, few = photograph(40, 50), network_softmax(3, 40, 50)
    softmax = np.full((20, 40, 50), 0.002, np.float32)
    softmax[[4, 9, 15]] = few
    softmax[12, 20, 20] = 0.4  # at one pixel
    softmax /= softmax.sum(0)
    exact = dense_crf(image, softmax, backend=backend)
    refined = dense_crf(image, softmax, drop_below=0.2, backend=backend)
    assert set(np.flatnonzero(exact.any((1, 2)))) == set(range(20))
    assert set(np.flatnonzero(refined.any((1, 2)))) == {4, 9, 12, 15}
    assert np.allclose(refined.sum(0), 1, atol=1e-5)
    assert (refined.argmax(0) == exact.argmax(0)).mean() > 0.998
    labels = dense_crf_labels(image, softmax, drop_below=0.2, backend=backend)
    assert np.array_equal(labels, refined.argmax(0))


LAYOUTS = {
    "Fortran's order": np.asfortranarray,
    "a reversed view": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "another order of axes": lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
    "a tensor": torch.from_numpy,
    "a tensor with a gradient": lambda x: torch.from_numpy(x).double().requires_grad_(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_and_tensors_will_do(image, softmax, backend, layout):
    expected, before = dense_crf(image, softmax, backend=backend), softmax.copy()
    refined = dense_crf(LAYOUTS[layout](image), LAYOUTS[layout](softmax), backend=backend)
    assert isinstance(refined, np.ndarray)
    assert np.abs(refined - expected).max() < 1e-5
    assert np.array_equal(softmax, before)


def test_bfloat16_and_half_precision_will_do(image, softmax, backend):
    expected = dense_crf(image, softmax, backend=backend).argmax(0)
    for rounded in (softmax.astype(np.float16), torch.from_numpy(softmax).bfloat16()):
        assert (dense_crf(image, rounded, backend=backend).argmax(0) == expected).mean() > 0.97


NO_PROBABILITIES = {
    "logits": lambda p: 3 * np.log(p) + 2,
    "log-probabilities": np.log,
    "energies": lambda p: -np.log(p),
    "NaN at a pixel": lambda p: np.where(np.arange(192).reshape(12, 16) == 50, np.nan, p),
    "infinity": lambda p: np.where(p == p[2, 3, 4], np.inf, p),
    "bytes": lambda p: (255 * p).astype(np.uint8),
    "zeros": np.zeros_like,
    "a sum of 1 with a negative": lambda p: p + np.array([0.8, -0.8, 0, 0]).reshape(4, 1, 1),
}


@pytest.mark.parametrize("kind", NO_PROBABILITIES)
@pytest.mark.parametrize("options", [{}, {"drop_below": 0.1}, {"gaussian": None, "bilateral": None}])
def test_what_is_no_softmax_is_refused(image, softmax, backend, kind, options):
    given = NO_PROBABILITIES[kind](softmax)
    for function in (dense_crf, dense_crf_labels):
        with pytest.raises(InputError, match=r"sum to 1 at every pixel, got .*; give the softmax"):
            function(image, given, backend=backend, **options)


def test_the_pixel_that_is_no_softmax_is_named(image, softmax, backend):
    softmax[1, 7, 5] += 2
    with pytest.raises(InputError, match=r"at row 7, column 5; give the softmax"):
        dense_crf(image, softmax, backend=backend)


def test_absent_classes_may_have_a_probability_of_0(image, softmax, backend):
    one_hot = np.eye(4, dtype=int)[softmax.argmax(0)].transpose(2, 0, 1)
    refined = dense_crf(image, one_hot, backend=backend)
    assert np.allclose(refined.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, p: (i, p.transpose(1, 2, 0)), r"\(12, 16, 3\) beside \(12, 16, 4\)"),
        (lambda i, p: (i.transpose(2, 0, 1), p), r"\(3, 12, 16\) beside"),
        (lambda i, p: (i.transpose(1, 0, 2), p), r"\(16, 12, 3\) beside"),
        (lambda i, p: (i, p.reshape(4, -1)), r"beside \(4, 192\)"),
        (lambda i, p: (i, p[None]), r"beside \(1, 4, 12, 16\)"),
        (lambda i, p: (i, p.argmax(0)), r"beside \(12, 16\)"),
        (lambda i, p: (i, p[:0]), r"beside \(0, 12, 16\)"),
        (lambda i, p: (None, p), "the image must be an array of numbers, got NoneType"),
        (lambda i, p: (i, "softmax.npy"), "the probabilities must be an array of numbers, got str"),
        (lambda i, p: (i, [[1], [2, 3]]), "the probabilities must be an array of numbers, got list"),
        (lambda i, p: (i, 1j * p), "the probabilities must be an array of numbers, got ndarray of complex"),
        (lambda i, p: (np.full((12, 16, 3), np.nan), p), "the image must be finite"),
    ],
)
def test_arrays_that_do_not_fit_are_named(image, softmax, change, words):
    with pytest.raises(InputError, match=words):
        dense_crf(*change(image, softmax))


def test_options_that_do_not_fit_are_named(image, softmax):
    with pytest.raises(InputError, match="backend must be auto"):
        dense_crf(image, softmax, backend="gpu")
    for iterations in (-1, 2.5, "3", None, True):
        with pytest.raises(InputError, match="iterations must be"):
            dense_crf(image, softmax, iterations=iterations)
    assert (
        dense_crf(image, softmax, iterations=np.int64(2)) == dense_crf(image, softmax, iterations=2)
    ).all()
    for share in (1, -0.1, float("nan"), "0.1", None):
        with pytest.raises(InputError, match="drop_below must be"):
            dense_crf(image, softmax, drop_below=share)


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
        assert type(load_backend("auto")).__name__ == BACKENDS[backend][1]
