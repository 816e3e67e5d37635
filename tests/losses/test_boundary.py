import numpy as np
import pytest
import torch
from scipy import ndimage

from segtrain.errors import InputError
from segtrain.losses.boundary import Boundary, signed_distance

ONE = {"out": 1.0}


def test_distances_are_to_the_contour_negative_inside():
    inside = np.zeros((1, 9), bool)
    inside[0, 3:8] = True
    assert signed_distance(inside)[0].tolist() == [3, 2, 1, 0, -1, -2, -1, 0, 1]
    assert not signed_distance(np.ones((3, 3), bool)).any()
    assert not signed_distance(np.zeros((3, 3), bool)).any()


def test_distances_are_scipys():
    inside = np.random.default_rng(0).random((30, 40)) < 0.2
    inside[10:20, 5:25] = True
    expected = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside) + inside
    assert np.allclose(signed_distance(inside), expected, atol=1e-4)


def test_it_is_the_probability_times_the_distance_over_the_valid_pixels_of_the_objects():
    masks = torch.tensor([[[0, 0, 1, 1, 1, 0, 255]]], dtype=torch.uint8)
    p = torch.tensor([0.5, 0.2, 0.7, 0.8, 0.6, 0.4, 0.9])
    outputs = {"out": torch.stack([1 - p, p]).log().view(1, 2, 1, 7)}
    loss = Boundary(weights=ONE)
    expected = 0.5 * 2 + 0.2 * 1 - 0.8 * 1 + 0.4 * 1
    assert loss(outputs, masks).item() == pytest.approx(expected)
    assert loss.count(masks).item() == 6
    both = Boundary(weights=ONE, background=None)
    zero = -0.5 * 1 + 0.3 * 1 + 0.2 * 2 + 0.4 * 1  # the background's: -1, 0, 1, 2, 1, 0
    assert both(outputs, masks).item() == pytest.approx((expected + zero) / 2)


def test_its_factor_rises_with_the_training():
    masks = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
    outputs = {"out": torch.zeros(1, 2, 1, 3)}
    loss = Boundary(weights=ONE, initial=0.01)
    values = []
    for loss.progress in (0.0, 0.5, 1.0):
        values.append(loss(outputs, masks).item())
    assert values == pytest.approx([0.01 * 1.5, 0.505 * 1.5, 1.5])
    with pytest.raises(InputError, match=r"loss\.boundary\.initial must be from 0 to 1, got 2"):
        Boundary(weights=ONE, initial=2)
