import numpy as np
import pytest

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.metrics.calibration import Calibration


def added(mask, probabilities) -> Calibration:
    """Of a row of pixels with these labels and probabilities of class 1."""
    mask, ones = np.array([mask], np.uint8), np.array([probabilities], np.float32)
    metric, both = Calibration(), np.stack([1 - ones, ones])
    sample = Sample(np.zeros((*mask.shape, 3), np.uint8), mask, "a")
    metric.update(sample, both.argmax(0).astype(np.uint8), both.max(0))
    return metric


def error(metric: Calibration) -> float | None:
    return metric.compute(metric.sums)["calibration_error"]


def test_eight_of_ten_right_at_a_confidence_of_08_is_no_error():
    assert error(added([1] * 8 + [0] * 2, [0.8] * 10)) == pytest.approx(0, abs=1e-6)


def test_the_error_is_the_gap_of_each_bin_weighted_by_its_pixels():
    # 4 pixels at 0.9, 2 of them right; 6 at 0.6, all right: 0.4 · 0.4 + 0.6 · 0.4
    metric = added([1, 1, 0, 0] + [0] * 6, [0.9] * 4 + [0.4] * 6)
    assert error(metric) == pytest.approx(0.4 * 0.4 + 0.6 * 0.4)


def test_gaps_of_one_bin_cancel_and_those_of_two_do_not():
    assert error(added([1, 0], [0.98, 0.99])) == pytest.approx(0.985 - 0.5)
    assert error(added([1, 0], [0.99, 0.6])) == pytest.approx((0.01 + 0.6) / 2)


def test_ignored_does_not_count():
    assert error(added([1, IGNORE_INDEX], [1.0, 0.6])) == 0
    assert error(added([IGNORE_INDEX], [0.7])) is None


def test_sums_of_processes_add_up():
    one, other = added([1, 0], [0.9, 0.8]), added([1, 1], [0.9, 0.7])
    together = added([1, 0, 1, 1], [0.9, 0.8, 0.9, 0.7])
    assert (one.sums + other.sums).numpy() == pytest.approx(together.sums.numpy())
    assert error(together) == pytest.approx(together.compute(one.sums + other.sums)["calibration_error"])


def test_the_bins_are_what_a_reliability_diagram_shows():
    metric = Calibration()
    mask = np.array([[0, 0, 1, 255]], np.uint8)
    sample = Sample(np.zeros((1, 4, 3), np.uint8), mask, "x")
    metric.update(sample, np.zeros((1, 4), np.uint8), np.array([[0.95, 0.97, 0.96, 0.1]], np.float32))
    bins = metric.compute(metric.sums)["calibration_bins"]
    assert len(bins) == 15
    assert bins[0] == [0, 0.0, 0.0]
    pixels, confidence, accuracy = bins[14]
    assert pixels == 3
    assert confidence == pytest.approx(0.96)
    assert accuracy == pytest.approx(2 / 3)
