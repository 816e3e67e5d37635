"""The learning-rate range test of `lr_find=true`: the loss while the rate rises exponentially."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from segtrain.distributed import process_group
from segtrain.engine.loader import Augmented, TrainingStream, training_batches
from segtrain.engine.state import TrainState
from segtrain.engine.step import step_seed, train_step
from segtrain.errors import DivergedError

STEPS, LOWEST, HIGHEST = 100, 1e-7, 10.0
WINDOW = 7  # steps that a smoothed loss is the mean of
MEMORY = 0.9  # of the running mean that says when to stop
TOO_HIGH = 4.0  # times the lowest running mean: it diverges
FEWEST = 10  # steps before that is asked
FALL = 0.02  # share of the loss that must be gained for a rate to be proposed


class RateTest(NamedTuple):
    """What a test found.

    Attributes:
        rates: of the steps taken. losses, smoothed: the loss at each, and its mean over 7 steps.
        lowest: the rate at which the smoothed loss is lowest.
        suggested: that at which it falls fastest, in the first half of its fall; None where it does not fall.
        diverged: whether the loss rose to four times its lowest, or beyond all numbers.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    lowest: float
    suggested: float | None
    diverged: bool


def measure_rates(
    state: TrainState, dataset: Augmented, base: float, advance: Callable[[int, str], object]
) -> RateTest:
    """Trains for at most 100 steps while the rate rises from 1e-7 to 10 (Smith, "Cyclical Learning Rates for
    Training Neural Networks", 2017, section 3.3).

    Args:
        state: is changed, and of no use afterwards.
        dataset: of the training split.
        base: `optimizer.lr`: groups of parameters keep their ratios to it.
        advance: of a progress bar.

    Returns:
        The losses by rate, up to where they diverge.
    """
    settings, world_size = state.settings, process_group.world_size()
    rank = process_group.rank()
    stream = TrainingStream(
        len(dataset), settings.batch_size, seed=settings.seed, rank=rank, world_size=world_size
    )
    rates, losses, running, best, diverged = [], [], 0.0, float("inf"), False
    loading = training_batches(dataset, stream, num_workers=settings.num_workers)
    with closing(loading) as batches, TemporaryDirectory() as unused:
        for step in range(STEPS):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
            for group in state.optimizer.param_groups:
                group["lr"] = group["base_lr"] / base * rate
            state.compute.seed(step_seed(state))
            try:
                loss = sum(train_step(state, list(islice(batches, settings.accumulate)), Path(unused)))
            except DivergedError:
                diverged = True
                break
            state.step += 1
            rates.append(rate)
            losses.append(loss)
            advance(1, f"rate {rate:.1e}  loss {loss:.4f}")
            running = MEMORY * running + (1 - MEMORY) * loss
            mean = running / (1 - MEMORY ** (step + 1))
            best = min(best, mean)
            if step >= FEWEST and mean > TOO_HIGH * best:
                diverged = True
                break
    return conclude(rates, losses, diverged)


def conclude(rates: list[float], losses: list[float], diverged: bool) -> RateTest:
    """The rate to propose: where the smoothed loss falls fastest by the logarithm of the rate, before half of
    its fall is over.

    Example:
        >>> conclude([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.9, 1.0, 1.1], False).suggested
        0.001
    """
    if not rates:
        return RateTest([], [], [], float("nan"), None, diverged)
    window = min(WINDOW, max(1, len(losses) // 4))
    padded = np.pad(losses, (window // 2, window - 1 - window // 2), mode="edge")
    smoothed = np.convolve(padded, np.ones(window) / window, "valid")
    low = int(np.argmin(smoothed))
    start, suggested = float(smoothed[0]), None
    if start - smoothed[low] > FALL * abs(start):
        # Up to where half is gained: beyond, large steps make the loss jump, and fall fast again.
        half = int(np.argmax(smoothed <= (start + smoothed[low]) / 2))
        suggested = rates[int(np.argmin(np.diff(smoothed[: half + 1])))]
    return RateTest(rates, losses, smoothed.tolist(), rates[low], suggested, diverged)
