import numpy as np
import pytest
import torch

from segtrain.contracts import Sample
from segtrain.metrics.neurites import Neurites, components, fill_with_nearest, rand_and_information


def test_equal_segmentations_are_perfect_whatever_their_numbers():
    truth = np.array([[1, 1, 2], [3, 3, 2]])
    assert rand_and_information(truth * 7, truth) == pytest.approx((1, 1))


@pytest.mark.parametrize("n", [2, 5])
def test_all_in_one_segment_merges_n_equal_cells(n):
    truth = np.repeat(np.arange(1, n + 1), 4)[None]
    rand, information = rand_and_information(np.ones_like(truth), truth)
    assert rand == pytest.approx(2 / (n + 1))
    assert information == pytest.approx(0)


def test_a_worked_split():
    # one cell of 4 pixels, proposed as 1 and 3: sum p² = (1 + 9)/16, sum t² = 1
    rand, information = rand_and_information(np.array([[1, 2, 2, 2]]), np.ones((1, 4), int))
    assert rand == pytest.approx(2 * 10 / 16 / (10 / 16 + 1))
    assert information == pytest.approx(0)


def test_membrane_of_the_truth_does_not_count():
    truth = np.array([[1, 0, 2]])
    assert rand_and_information(np.array([[1, 1, 2]]), truth) == pytest.approx((1, 1))


def test_cells_that_touch_at_a_corner_are_two():
    assert components(np.eye(2, dtype=bool)).max() == 2


def test_membranes_are_shared_out_to_the_nearest_cells():
    assert fill_with_nearest(np.array([[1, 0, 0, 0, 2]]))[0, [1, 3]].tolist() == [1, 2]
    assert fill_with_nearest(np.zeros((2, 2), np.int32)).sum() == 0


def test_the_best_threshold_counts_and_sums_of_processes_add_up():
    mask = np.ones((4, 9), np.uint8)
    mask[:, 4] = 0
    cell = np.where(mask == 1, 0.9, 0.55)  # said apart above 0.55 only
    both = [Neurites(num_classes=2), Neurites(num_classes=2)]
    for neurites in both:
        neurites.update(Sample(np.zeros((4, 9, 3), np.uint8), mask, "a"), np.ones_like(mask), cell)
    metrics = both[0].compute(torch.stack([n.sums for n in both]).sum(0))
    assert metrics == pytest.approx({"v_rand": 1, "v_info": 1})
    assert both[0].sums[0, 0] < 1


def test_a_likely_membrane_is_an_unlikely_cell():
    mask = np.ones((4, 9), np.uint8)
    mask[:, 4] = 0
    sample = Sample(np.zeros((4, 9, 3), np.uint8), mask, "a")
    of_cell, of_both = Neurites(num_classes=2), Neurites(num_classes=2)
    of_cell.update(sample, np.ones_like(mask), np.where(mask == 1, 0.9, 0.25))
    of_both.update(sample, mask, np.where(mask == 1, 0.9, 0.75))
    assert torch.equal(of_cell.sums, of_both.sums)
