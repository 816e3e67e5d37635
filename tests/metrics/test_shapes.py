"""HD95 and clDice against SciPy and by hand."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.metrics.cldice import CLDice, centreline_dice
from segtrain.metrics.hd95 import HD95, hausdorff_95
from segtrain.metrics.thinning import thinned

CERTAIN = np.ones(1, np.float32)


def blobs(seed: int, side: int = 48) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 3)
    return noise > 0.05


def result(metric, *pairs) -> dict:
    for mask, labels in pairs:
        metric.update(Sample(np.zeros((*mask.shape, 3), np.uint8), mask, "a"), labels, CERTAIN)
    return metric.compute(metric.sums)


def disc(row: int, column: int, radius: int, side: int = 40) -> np.ndarray:
    y, x = np.indices((side, side))
    return (((y - row) ** 2 + (x - column) ** 2) <= radius**2).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_hd95_is_that_of_all_pairs_of_border_pixels(seed):
    target, predicted = blobs(seed), blobs(seed + 50)
    borders = [np.argwhere(x & ~ndimage.binary_erosion(x, np.ones((3, 3)))) for x in (target, predicted)]
    distances = cdist(*borders)
    expected = max(np.percentile(distances.min(axis), 95) for axis in (0, 1))
    assert hausdorff_95(target, predicted) == pytest.approx(expected, rel=1e-5)


def test_hd95_of_a_shifted_disc_is_the_shift_and_of_the_same_0():
    mask = disc(20, 16, 8)
    assert result(HD95(num_classes=2), (mask, mask)) == {"hd95": 0, "hd95_undefined": 0}
    shifted = result(HD95(num_classes=2), (mask, disc(20, 21, 8)))
    assert shifted["hd95"] == pytest.approx(5, abs=0.3)
    assert result(HD95(num_classes=2, background=None), (mask, mask))["hd95"] == 0


def test_a_class_in_one_of_mask_and_prediction_alone_has_no_hd95_and_is_counted():
    mask, nothing = disc(20, 16, 8), np.zeros((40, 40), np.uint8)
    for pair in ((mask, nothing), (nothing, mask)):
        assert result(HD95(num_classes=2), pair) == {"hd95": None, "hd95_undefined": 1}
    assert result(HD95(num_classes=2), (nothing, nothing)) == {"hd95": None, "hd95_undefined": 0}
    both = result(HD95(num_classes=3), (mask, mask), (mask, 2 * mask))
    assert both == {"hd95": 0, "hd95_undefined": 2}


def test_what_is_predicted_at_ignored_pixels_counts_in_neither():
    mask = disc(20, 16, 8)
    guess = mask.copy()
    mask[:, 25:], guess[:, 30:] = IGNORE_INDEX, 1
    assert result(HD95(num_classes=2), (mask, guess))["hd95"] == 0
    assert result(CLDice(num_classes=2), (mask, guess))["cldice"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_skeleton_is_thin_and_keeps_every_part_and_every_gap(seed):
    inside = blobs(seed)
    skeleton = thinned(inside)
    assert not (skeleton & ~inside).any()
    eight = np.ones((3, 3))
    assert ndimage.label(skeleton, eight)[1] == ndimage.label(inside, eight)[1]
    outside = [ndimage.label(np.pad(~x, 1, constant_values=True))[1] for x in (skeleton, inside)]
    assert outside[0] == outside[1]
    squares = skeleton[1:, 1:] & skeleton[:-1, 1:] & skeleton[1:, :-1] & skeleton[:-1, :-1]
    assert squares.sum() <= 0.02 * skeleton.sum()


def test_skeletons_of_lines_bars_and_dots():
    line = np.eye(9, dtype=bool)
    assert np.array_equal(thinned(line), line)
    bar = np.zeros((9, 20), bool)
    bar[2:7, 2:18] = True
    rows, columns = thinned(bar).nonzero()
    assert set(rows) == {4}
    assert len(columns) >= 10
    for side in (1, 2, 3):
        assert thinned(np.ones((side, side), bool)).any()
    assert not thinned(np.zeros((3, 3), bool)).any()


def test_cldice_by_hand():
    mask = np.zeros((11, 30), np.uint8)
    mask[4:7] = 1  # its centre line is row 5
    wide = np.zeros_like(mask)
    wide[3:8] = 1
    assert result(CLDice(num_classes=2), (mask, wide))["cldice"] == 1
    gap = mask.copy()
    gap[:, 10:20] = 0
    length, found = thinned(mask == 1).sum(), (thinned(mask == 1) & (gap == 1)).sum()
    assert result(CLDice(num_classes=2), (mask, gap))["cldice"] == pytest.approx(
        2 * found / length / (found / length + 1)
    )
    assert centreline_dice(mask == 1, mask == 2) == 0
    nothing = np.zeros_like(mask)
    assert result(CLDice(num_classes=2), (nothing, nothing))["cldice"] is None
