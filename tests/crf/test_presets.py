"""The options of `dense_crf`, and CRF-RNN's kernels, against the code that they follow."""

import numpy as np
import pytest
import torch

from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.crf import dense_crf
from tests.conftest import needs_pydensecrf
from tests.crf.conftest import network_softmax, photograph

AFTER = {"normalization": "after"}
PRESETS = {  # of every file: kernels and iterations
    "default": ({"sxy": 3, "compat": 3}, {"sxy": 80, "srgb": 13, "compat": 10}, 10),
    "pydensecrf_readme": ({"sxy": 3, "compat": 3}, {"sxy": 80, "srgb": 13, "compat": 10}, 5),
    "kazuto1011": ({"sxy": 1, "compat": 3}, {"sxy": 67, "srgb": 3, "compat": 4}, 10),
    "deconvnet": ({"sxy": 3, "compat": 3}, {"sxy": 20, "srgb": 3, "compat": 5}, 10),
    "deeplabv1": ({"sxy": 3, "compat": 3} | AFTER, {"sxy": 121, "srgb": 5, "compat": 4} | AFTER, 10),
    "deeplabv2": ({"sxy": 3, "compat": 3} | AFTER, {"sxy": 49, "srgb": 5, "compat": 4} | AFTER, 10),
}
RECIPES = {  # the bilateral kernel of every recipe that chooses a preset of the authors
    "deeplabv1_voc": {"sxy": 121, "srgb": 5, "compat": 4} | AFTER,
    "deeplabv1_7x7_voc": {"sxy": 50, "srgb": 10, "compat": 5} | AFTER,
    "deeplabv1_msc_largefov_voc": {"sxy": 83, "srgb": 5, "compat": 4} | AFTER,
    "deeplabv2_voc": {"sxy": 49, "srgb": 5, "compat": 4} | AFTER,
    "deeplabv2_vgg16_voc": {"sxy": 49, "srgb": 5, "compat": 4} | AFTER,
}


def composed(*arguments) -> dict:
    return plain(compose_config("train", list(arguments)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_its_sources_kernels_and_drops_no_label(name):
    gaussian, bilateral, iterations = PRESETS[name]
    node = composed(f"dense_crf={name}")["dense_crf"]
    assert node["gaussian"] == gaussian
    assert node["bilateral"] == bilateral
    assert (node["iterations"], node["drop_below"], node["backend"]) == (iterations, 0, "auto")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_its_presets_normalisation(name):
    node = composed(f"experiment={name}")["dense_crf"]
    assert node["gaussian"] == {"sxy": 3, "compat": 3} | AFTER
    assert node["bilateral"] == RECIPES[name]


def summed_over_pairs(image, softmax, kernels, iterations):
    """Mean field as its papers write it, with the Gaussian of every pair of pixels; every filtered value is
    divided by the sum of its weights. float64 C×N."""
    height, width, channels = image.shape
    y, x = np.mgrid[:height, :width]
    features = np.stack([x.ravel(), y.ravel(), *image.reshape(-1, channels).T.astype(float)], 1)
    weights = np.zeros((height * width, height * width))
    for kernel in kernels:
        stds = [kernel["sxy"]] * 2 + ([kernel["srgb"]] * channels if "srgb" in kernel else [])
        scaled = features[:, : len(stds)] / stds
        gauss = np.exp(-((scaled[:, None] - scaled[None]) ** 2).sum(2) / 2)
        weights += kernel["compat"] * gauss / gauss.sum(1, keepdims=True)
    p = softmax.reshape(len(softmax), -1).astype(float)
    q = p
    for _ in range(iterations):
        q = p * np.exp(q @ weights.T)
        q /= q.sum(0)
    return q


@pytest.mark.parametrize("name", ["deeplabv1", "deeplabv2"])
def test_deeplabs_labels_are_those_of_the_sum_over_all_pairs(name, backend):
    """The lattice is an approximation: of the pixels on a border a few may differ."""
    image, softmax = photograph(24, 30), network_softmax(5, 24, 30)
    node = composed(f"dense_crf={name}", f"dense_crf.backend={backend}")["dense_crf"]
    refined = instantiate(node, "dense_crf", partial=True)(image, softmax)
    expected = summed_over_pairs(image, softmax, [node["gaussian"], node["bilateral"]], 10)
    assert (refined.argmax(0).ravel() == expected.argmax(0)).mean() >= 0.99


@needs_pydensecrf
@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_labels_are_those_of_the_authors_code(name, backend):
    from pydensecrf import densecrf, utils

    image, softmax = photograph(61, 83), network_softmax(21, 61, 83)
    node = composed(f"dense_crf={name}", f"dense_crf.backend={backend}")["dense_crf"]
    labels = instantiate(node, "dense_crf", partial=True)(image, softmax).argmax(0)
    kinds = {"after": densecrf.NORMALIZE_AFTER, "symmetric": densecrf.NORMALIZE_SYMMETRIC}
    field = densecrf.DenseCRF2D(83, 61, 21)
    field.setUnaryEnergy(np.ascontiguousarray(utils.unary_from_softmax(softmax)))
    gaussian, bilateral, iterations = PRESETS[name]
    after = kinds[gaussian.get("normalization", "symmetric")]
    field.addPairwiseGaussian(sxy=gaussian["sxy"], compat=gaussian["compat"], normalization=after)
    field.addPairwiseBilateral(
        sxy=bilateral["sxy"],
        srgb=bilateral["srgb"],
        rgbim=image,
        compat=bilateral["compat"],
        normalization=after,
    )
    expected = np.argmax(field.inference(iterations), 0).reshape(61, 83)
    assert (labels == expected).mean() >= 0.9999


@needs_pydensecrf
def test_the_normalisation_matters():
    """So that a preset that lost its own would be seen."""
    image, softmax = photograph(61, 83), network_softmax(21, 61, 83)
    gaussian, bilateral, _ = PRESETS["deeplabv1"]
    after, symmetric = (
        dense_crf(image, softmax, gaussian=gaussian | kind, bilateral=bilateral | kind, backend="pydensecrf")
        for kind in (AFTER, {"normalization": "symmetric"})
    )
    assert (after.argmax(0) != symmetric.argmax(0)).mean() > 0.002


@needs_pydensecrf
def test_crf_rnns_mean_field_is_the_released_layers():
    """Kernels of 160 pixels and 3 grey levels, and of 3 pixels; the filtered values are divided by the
    filter of ones; ten iterations in testing."""
    from pydensecrf import densecrf

    node = composed("model=fcn8s_crf", "data.num_classes=4")["model"]["mean_field"]
    layer = instantiate(node, "model.mean_field").eval()
    image = photograph(40, 50)
    logits = torch.from_numpy(3 * np.log(network_softmax(4, 40, 50).clip(1e-3)))
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    refined = layer(images, logits[None])[0].softmax(0).detach().numpy()
    field = densecrf.DenseCRF2D(50, 40, 4)
    field.setUnaryEnergy(np.ascontiguousarray(-logits.log_softmax(0).flatten(1).numpy()))
    after = {"normalization": densecrf.NORMALIZE_AFTER}
    field.addPairwiseGaussian(sxy=3, compat=3, **after)
    field.addPairwiseBilateral(sxy=160, srgb=3, rgbim=image, compat=5, **after)
    expected = np.asarray(field.inference(10)).reshape(4, 40, 50)
    assert np.abs(refined - expected).max() < 1e-4
