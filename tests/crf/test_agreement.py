"""The backends against pydensecrf's own way of being called, and against the sum over all pairs."""

import numpy as np
import pytest

from segtrain.crf import dense_crf
from tests.conftest import needs_pydensecrf
from tests.crf.conftest import network_softmax, photograph

OURS = ["numba", "torch"]
PAPERS = {
    "README": ({"sxy": 3, "compat": 3}, {"sxy": 80, "srgb": 13, "compat": 10}),
    "kazuto1011": ({"sxy": 1, "compat": 3}, {"sxy": 67, "srgb": 3, "compat": 4}),
}


@pytest.fixture(params=OURS)
def ours(request):
    pytest.importorskip(request.param)
    return request.param


def by_pydensecrf(image, softmax, gaussian, bilateral, iterations=10) -> np.ndarray:
    """As its README calls it."""
    from pydensecrf import densecrf, utils

    labels, height, width = softmax.shape
    field = densecrf.DenseCRF2D(width, height, labels)
    field.setUnaryEnergy(np.ascontiguousarray(utils.unary_from_softmax(softmax)))
    field.addPairwiseGaussian(**gaussian)
    field.addPairwiseBilateral(rgbim=image, **bilateral)
    return np.array(field.inference(iterations)).reshape(softmax.shape)


def assert_agree(refined, reference, *, marginals=1e-4):
    assert np.abs(refined - reference).max() <= marginals
    assert (refined.argmax(0) == reference.argmax(0)).mean() >= 0.9999


@needs_pydensecrf
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("size", [(60, 80), (61, 83)])
def test_marginals_are_pydensecrfs(ours, paper, size):
    image, softmax = photograph(*size), network_softmax(21, *size)
    gaussian, bilateral = PAPERS[paper]
    parameters = {"gaussian": gaussian, "bilateral": bilateral}
    refined = dense_crf(image, softmax, **parameters, drop_below=0, backend=ours)
    assert_agree(refined, by_pydensecrf(image, softmax, **parameters))


@needs_pydensecrf
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 47), (97, 2), (13, 17)])
@pytest.mark.parametrize("sigma", [0.3, 1, 40])
def test_images_of_noise_and_of_any_size_agree_after_an_iteration(ours, size, sigma):
    """One iteration: where pixels contradict each other, ten make much of rounding."""
    rng = np.random.default_rng(sum(size))
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    softmax = rng.random((4, *size), np.float32) ** 3 + 1e-6
    softmax /= softmax.sum(0)
    parameters = {
        "gaussian": {"sxy": sigma, "compat": 3},
        "bilateral": {"sxy": 5 * sigma, "srgb": 3 * sigma, "compat": 5},
    }
    refined = dense_crf(image, softmax, **parameters, iterations=1, drop_below=0, backend=ours)
    assert_agree(refined, by_pydensecrf(image, softmax, **parameters, iterations=1), marginals=1e-5)


@needs_pydensecrf
@pytest.mark.parametrize("normalization", ["symmetric", "before", "after", "none"])
@pytest.mark.parametrize("compat", ["potts", "diagonal", "matrix", "negative"])
def test_every_normalisation_and_compatibility_agrees(ours, normalization, compat):
    image, softmax = photograph(24, 31), network_softmax(4, 24, 31)
    rng = np.random.default_rng(0)
    weights = {
        "potts": 2.0,
        "diagonal": rng.normal(0, 2, 4),
        "matrix": rng.normal(0, 2, (4, 4)),
        "negative": -2,
    }
    small = 0.05 if normalization == "none" else 1  # a filter that is not normalised adds up the pixels
    parameters = {
        "gaussian": {"sxy": 2, "compat": small * np.array(weights[compat]), "normalization": normalization},
        "bilateral": {"sxy": 9, "srgb": 20, "compat": 3.0 * small, "normalization": normalization},
    }
    reference = dense_crf(image, softmax, **parameters, drop_below=0, backend="pydensecrf")
    assert_agree(dense_crf(image, softmax, **parameters, drop_below=0, backend=ours), reference)


@needs_pydensecrf
@pytest.mark.parametrize("channels", [1, 4])
def test_several_kernels_over_any_number_of_channels_agree(ours, channels):
    image, softmax = photograph(30, 26, channels=channels), network_softmax(4, 30, 26)
    image = image[..., 0].astype(np.uint16) * 16 if channels == 1 else image / 255
    grey = 16 if channels == 1 else 1 / 255
    parameters = {
        "gaussian": [{"sxy": 1, "compat": 1}, {"sxy": [2, 5], "compat": 2}],
        "bilateral": {"sxy": [30, 20], "srgb": [9 * grey] * channels, "compat": 3},
    }
    reference = dense_crf(image, softmax, **parameters, drop_below=0, backend="pydensecrf")
    assert_agree(dense_crf(image, softmax, **parameters, drop_below=0, backend=ours), reference)


@needs_pydensecrf
def test_weights_whose_exponentials_no_float_holds_agree(ours):
    image, softmax = photograph(20, 20), network_softmax(4, 20, 20)
    for compat in (300, -300):
        parameters = {"gaussian": {"sxy": 3, "compat": compat}, "bilateral": None, "iterations": 1}
        reference = dense_crf(image, softmax, **parameters, drop_below=0, backend="pydensecrf")
        refined = dense_crf(image, softmax, **parameters, drop_below=0, backend=ours)
        assert_agree(refined, reference, marginals=2e-3)  # 1e-7 of 300 in an exponent


@needs_pydensecrf
@pytest.mark.parametrize("labels", [1, 2, 70])
def test_any_number_of_labels_agrees(ours, labels):
    image, softmax = photograph(16, 20), network_softmax(labels, 16, 20)
    gaussian, bilateral = PAPERS["README"]
    refined = dense_crf(image, softmax, drop_below=0, backend=ours)
    assert_agree(refined, by_pydensecrf(image, softmax, gaussian, bilateral))


@needs_pydensecrf
@pytest.mark.slow
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("seed", range(6))
def test_images_of_vocs_size_agree(paper, seed):
    pytest.importorskip("numba")
    size = [(375, 500), (500, 375), (333, 500), (281, 500), (101, 83), (500, 499)][seed]
    image, softmax = photograph(*size, seed), network_softmax(21, *size, seed)
    gaussian, bilateral = PAPERS[paper]
    parameters = {"gaussian": gaussian, "bilateral": bilateral}
    reference = by_pydensecrf(image, softmax, **parameters)
    # Of some pixels of these noisy images ten iterations make much: how much shows pydensecrf itself
    # where its input is rounded otherwise.
    itself = by_pydensecrf(image, softmax * np.float32(1 + 1e-7), **parameters)
    nearest = max(1e-4, 2 * np.abs(itself - reference).max())
    refined = dense_crf(image, softmax, **parameters, drop_below=0, backend="numba")
    assert_agree(refined, reference, marginals=nearest)
    assert (np.abs(refined - reference) > 1e-4).mean() < 1e-6
    dropped = dense_crf(image, softmax, **parameters, backend="numba")
    assert (dropped.argmax(0) == reference.argmax(0)).mean() >= 0.9999


def exact_filter(image, stds) -> np.ndarray:
    """The Gaussian of every pair of pixels, N×N."""
    height, width, channels = image.shape
    y, x = np.mgrid[:height, :width]
    features = [x.ravel(), y.ravel(), *image.reshape(-1, channels).T.astype(float)]
    scaled = np.stack([f / s for f, s in zip(features, stds, strict=False)], 1)
    return np.exp(-((scaled[:, None] - scaled[None]) ** 2).sum(2) / 2)


def test_marginals_are_near_those_of_the_sum_over_all_pairs(backend):
    """The lattice is an approximation: a few per cent."""
    image, softmax = photograph(18, 22), network_softmax(3, 18, 22)
    stds = {"gaussian": (2, 2), "bilateral": (8, 8, 25, 25, 25)}
    rows = softmax.reshape(3, -1)
    kernels = [exact_filter(image, stds[name]) for name in stds]
    kernels = [k / np.sqrt(k.sum(0)[:, None] * k.sum(0)[None]) for k in kernels]
    q = rows
    for _ in range(3):
        q = rows * np.exp(q @ kernels[0] * 2 + q @ kernels[1] * 1.5)
        q = q / q.sum(0)
    parameters = {
        "gaussian": {"sxy": 2, "compat": 2},
        "bilateral": {"sxy": 8, "srgb": 25, "compat": 1.5},
    }
    refined = dense_crf(image, softmax, **parameters, iterations=3, drop_below=0, backend=backend)
    assert np.abs(refined.reshape(3, -1) - q).max() < 0.06
    assert np.abs(refined.reshape(3, -1) - q).mean() < 0.005


def test_a_bilateral_kernel_blind_to_colours_is_nearly_the_gaussian_one(backend):
    image, softmax = photograph(24, 24), network_softmax(3, 24, 24)
    blind = {"sxy": 4, "srgb": 1e5, "compat": 3}
    bilateral = dense_crf(image, softmax, gaussian=None, bilateral=blind, drop_below=0, backend=backend)
    spatial = {"sxy": 4, "compat": 3}
    gaussian = dense_crf(image, softmax, gaussian=spatial, bilateral=None, drop_below=0, backend=backend)
    assert np.abs(bilateral - gaussian).max() < 0.1
    assert np.abs(bilateral - gaussian).mean() < 0.01


def test_rows_and_columns_can_be_exchanged_up_to_the_lattices_error(backend):
    image, softmax = photograph(30, 21), network_softmax(3, 30, 21)
    refined = dense_crf(image, softmax, drop_below=0, backend=backend)
    turned = dense_crf(image.swapaxes(0, 1), softmax.swapaxes(1, 2), drop_below=0, backend=backend)
    assert np.abs(turned.swapaxes(1, 2) - refined).mean() < 0.01
