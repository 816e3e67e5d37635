import math

import numpy as np
import pytest
import torch

from segtrain.losses.unet import UNetLoss, border_weights


def gap(width):
    """Two cells of class 1, `width` pixels of background apart."""
    return np.concatenate([np.ones((5, 4)), np.zeros((5, width)), np.ones((5, 4))], 1).astype(np.uint8)


@pytest.mark.parametrize(("width", "distances"), [(1, 2), (9, 10)])
def test_the_weight_halfway_between_two_cells_is_the_papers(width, distances):
    weights = border_weights(gap(width), 10.0, 5.0, cell=1)
    middle = weights[2, 4 + width // 2]
    assert middle == pytest.approx(1 + 10 * math.exp(-(distances**2) / 50))
    assert (weights[:, :4] == 1).all()  # inside the cells


def test_ten_pixels_of_distance_weigh_2_3534():
    assert border_weights(gap(9), 10.0, 5.0, cell=1)[2, 8] == pytest.approx(2.3534, abs=1e-4)


def test_a_single_cell_has_no_border_to_another():
    mask = np.zeros((9, 9), np.uint8)
    mask[3:6, 3:6] = 1
    assert (border_weights(mask, 10.0, 5.0, cell=1) == 1).all()


def test_many_cells_give_what_whole_distance_maps_give():
    mask = (np.random.default_rng(0).random((40, 40)) > 0.7).astype(np.uint8)
    import cv2
    from scipy import ndimage

    count, cells = cv2.connectedComponents(mask, connectivity=4)
    distances = np.sort([ndimage.distance_transform_edt(cells != i) for i in range(1, count)], axis=0)
    expected = np.where(mask == 1, 1, 1 + 10 * np.exp(-((distances[0] + distances[1]) ** 2) / 50))
    assert np.allclose(border_weights(mask, 10.0, 5.0, cell=1), expected, atol=5e-3)


def test_pixels_enter_with_their_weights_and_are_counted_once():
    masks = torch.from_numpy(gap(1))[None]
    loss = UNetLoss(weights={"out": 1.0})
    value = loss({"out": torch.zeros(1, 2, 5, 9)}, masks).item()
    total = border_weights(gap(1), 10.0, 5.0, cell=1).sum()
    assert value == pytest.approx(math.log(2) * total, rel=1e-5)
    assert loss.count(masks).item() == 45
