"""Models whose truth is known: their mean IoU over all seeds and images."""

import numpy as np
import pytest

from segtrain.evaluation import bootstrap
from segtrain.evaluation.groups import compare_groups, holm


def counts(rng, images, of_model, of_seeds, seeds, difficulty):
    """Of each seed counts N×3×2: the share of right pixels depends on model, seed and image."""
    made = []
    for own in rng.normal(0, of_seeds, seeds):
        share = np.clip(0.7 + of_model + own + difficulty + rng.normal(0, 0.01, images), 0.01, 0.99)
        right = np.round(1000 * share).astype(np.int64)
        correct = np.stack([right, right], 1)
        made.append(np.stack([correct, np.full_like(correct, 1000), np.full_like(correct, 1000)], 1))
    return made


def iou(share):
    return share / (2 - share)  # where as many pixels of the other class are taken for it


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)


def simulate(times, *, gain, seeds, of_seeds=0.02, images=40):
    """The share of simulated pairs called different, and of intervals that hold the true gain."""
    different = held = 0
    for i in range(times):
        rng = np.random.default_rng(i)
        difficulty = rng.normal(0, 0.08, images)
        pair = [counts(rng, images, g, of_seeds, seeds, difficulty) for g in (0.0, gain)]
        found = compare_groups(pair)[0]
        truth = iou(0.7 + gain) - iou(0.7)
        different += found.is_significant
        held += found.interval[0] <= truth <= found.interval[1]
    return different / times, held / times


def test_equal_models_are_seldom_called_different_and_single_checkpoints_often_are():
    with_seeds, held = simulate(40, gain=0.0, seeds=3)
    alone, _ = simulate(40, gain=0.0, seeds=1)
    assert with_seeds <= 0.1
    assert held >= 0.9
    assert alone >= 0.4


def test_a_difference_larger_than_the_seeds_spread_is_found():
    found, _ = simulate(20, gain=0.1, seeds=4)
    assert found >= 0.9


def test_a_pair_has_the_difference_of_the_means_and_says_what_it_is_over():
    rng = np.random.default_rng(0)
    groups = [counts(rng, 20, g, 0.01, s, np.zeros(20)) for g, s in ((0.0, 2), (0.1, 3), (0.1, 1))]
    pairs = compare_groups(groups)
    assert [(p.first, p.second, p.over_seeds) for p in pairs] == [(0, 1, True), (0, 2, False), (1, 2, False)]
    assert pairs == compare_groups(groups)
    for pair in pairs:
        low, high = pair.interval
        assert low < pair.mean_iou < high
        assert pair.p_holm >= pair.p


def test_a_spread_of_two_seeds_is_uncertain_itself():
    widths = {2: 0.0, 8: 0.0}
    for seeds in widths:
        for i in range(10):
            rng = np.random.default_rng(i)
            pair = [counts(rng, 40, 0.0, 0.02, seeds, np.zeros(40)) for _ in range(2)]
            low, high = compare_groups(pair)[0].interval
            widths[seeds] += high - low
    assert widths[2] > 3 * widths[8]  # the root of the seeds alone would make it twice


def test_holms_p_values():
    # The table of R's p.adjust(c(0.01, 0.02, 0.03, 0.04), "holm")
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, None, 0.001]) == pytest.approx([0.04, None, 0.002])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_one_image_decides_nothing():
    one = [np.array([[[5], [5], [5]]])]
    pair = compare_groups([one, one])[0]
    assert (pair.interval, pair.p, pair.is_significant) == (None, None, False)
