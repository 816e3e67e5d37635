"""The learning-rate range test."""

import numpy as np
import pytest

from segtrain.engine.rate_range import conclude

RATES = np.geomspace(1e-7, 10, 100)


def curve(fall_at, rise_at, width=0.3):
    """From 2 to 1 around `fall_at`, and up from `rise_at`."""
    x = np.log10(RATES)
    fall = 1 / (1 + np.exp((x - np.log10(fall_at)) / width * 2))
    return 1 + fall + np.exp(4 * (x - np.log10(rise_at))).clip(max=9)


def test_the_rate_of_the_steepest_fall_is_proposed():
    found = conclude(RATES.tolist(), curve(1e-3, 1).tolist(), diverged=True)
    assert found.suggested == pytest.approx(1e-3, rel=0.5)
    assert 1e-2 < found.lowest < 1
    assert len(found.smoothed) == len(found.losses) == 100


def test_noise_at_high_rates_is_not_taken_for_a_fall():
    losses = curve(1e-3, 1)
    losses[60::4] += 2  # jumps, after which the loss falls faster than before
    found = conclude(RATES.tolist(), losses.tolist(), diverged=False)
    assert found.suggested == pytest.approx(1e-3, rel=0.9)


def test_no_rate_is_proposed_where_the_loss_does_not_fall():
    assert conclude(RATES.tolist(), np.linspace(1, 3, 100).tolist(), diverged=True).suggested is None
    assert conclude(RATES.tolist(), [1.0] * 100, diverged=False).suggested is None
    assert conclude([], [], diverged=True).suggested is None
    assert conclude([1e-7], [1.0], diverged=True).suggested is None
