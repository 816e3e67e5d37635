import numpy as np
import pytest
import torch

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.errors import InputError
from segtrain.metrics.average_precision import (
    EDGES,
    AveragePrecision,
    best_threshold,
    two_class_matrix,
)


def added(mask: np.ndarray, p: np.ndarray) -> AveragePrecision:
    """Of labels and probabilities of class 1."""
    metric = AveragePrecision(num_classes=2)
    sample = Sample(np.zeros((*mask.shape, 3), np.uint8), mask, "a")
    metric.update(sample, (p > 0.5).astype(np.uint8), np.maximum(p, 1 - p))
    return metric


def case(seed: int, shape=(40, 50)):
    rng = np.random.default_rng(seed)
    mask = (rng.random(shape) < 0.2).astype(np.uint8)
    p = 1 / (1 + np.exp(-(rng.normal(size=shape) * 2 + 2 * mask - 1)))
    mask[0] = IGNORE_INDEX
    return mask, p.astype(np.float32)


def plain_average_precision(target: np.ndarray, p: np.ndarray) -> float:
    """One threshold a distinct value, without bins."""
    total, last = 0.0, 0.0
    for threshold in np.unique(p)[::-1]:
        chosen = p >= threshold
        recall = target[chosen].sum() / target.sum()
        total += (recall - last) * target[chosen].mean()
        last = recall
    return total


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_sum_over_every_threshold(seed):
    mask, p = case(seed)
    known = mask != IGNORE_INDEX
    metric = added(mask, p)
    expected = plain_average_precision(mask[known], p[known])
    assert metric.compute(metric.sums)["average_precision"] == pytest.approx(expected, abs=2e-3)


def test_by_hand():
    # From the top: a hit, a miss, a hit: 1/2 · 1 + 1/2 · 2/3.
    metric = added(np.array([[1, 0, 1, 0]], np.uint8), np.array([[0.9, 0.8, 0.7, 0.1]], np.float32))
    assert metric.compute(metric.sums)["average_precision"] == pytest.approx(1 / 2 + 1 / 3)


def test_without_a_pixel_of_class_1_it_is_undefined():
    metric = added(np.zeros((2, 2), np.uint8), np.full((2, 2), 0.3, np.float32))
    assert metric.compute(metric.sums) == {"average_precision": None}
    assert best_threshold(metric.sums) == 0.5
    with pytest.raises(InputError, match="metric=average_precision: data must have 2 classes, got 3"):
        AveragePrecision(num_classes=3)


def test_the_best_threshold_has_the_largest_dice_of_all():
    mask, p = case(7)
    known = mask != IGNORE_INDEX
    sums = added(mask, p).sums
    best = best_threshold(sums)

    def dice(threshold: float) -> float:
        chosen = p[known] > threshold
        return 2 * mask[known][chosen].sum() / (mask[known].sum() + chosen.sum())

    assert dice(best) >= max(map(dice, np.linspace(0.01, 0.99, 99))) - 2e-3
    assert abs(best - 0.5) > 0.01
    matrix = two_class_matrix(sums, int(np.searchsorted(EDGES, np.float32(best))))
    chosen = p[known] > np.float32(best)
    counted = [[((mask[known] == t) & (chosen == c)).sum() for c in (0, 1)] for t in (0, 1)]
    assert np.abs(matrix - counted).max() <= 1


def test_sums_of_processes_add_up():
    cases = [case(seed) for seed in (1, 2)]
    sums = sum(added(*each).sums for each in cases)
    together = added(*(np.concatenate(parts) for parts in zip(*cases, strict=True)))
    assert torch.equal(sums, together.sums)
