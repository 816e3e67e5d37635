"""The curve of `lr_find=true`: loss against learning rate."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segtrain.viz.curves import BLUE, GREEN, SIZE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTERS = 75  # of a line of the title
HEAD = 1.3  # of the axis above what is shown: a loss that diverges hides all else


def rate_figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    suggested: float | None,
    now: float,
    title: str,
) -> Figure:
    """Draws the loss of each step and its mean over the rate, and marks two rates.

    Args:
        rates: of the steps.
        losses: their losses.
        smoothed: the same, smoothed.
        suggested: the rate that is proposed; None where there is none.
        now: `optimizer.lr`.
        title: of the figure.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color=BLUE, alpha=0.3, linewidth=1.2, label="loss of a step")
    axes.plot(rates, smoothed, color=BLUE, linewidth=2.4, label="mean of 7 steps")
    if suggested is not None:
        axes.axvline(suggested, color=VERMILION, linewidth=2, label=f"suggested: {suggested:.2g}")
    axes.axvline(now, color=GREEN, linewidth=2, linestyle="--", label=f"optimizer.lr now: {now:.2g}")
    low, high = float(np.min(smoothed)), float(np.max(smoothed[: max(1, int(np.argmin(smoothed)) + 1)]))
    margin = 0.15 * (high - low) or 0.1
    axes.set(xscale="log", ylim=(max(0.0, low - margin), HEAD * high - (HEAD - 1) * low + margin))
    axes.set_title(textwrap.fill(title, LETTERS), fontsize=SIZE + 1)
    axes.set_xlabel("learning rate (logarithmic)", fontsize=SIZE)
    axes.set_ylabel("training loss", fontsize=SIZE)
    axes.tick_params(labelsize=SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=SIZE - 1, frameon=False, loc="upper left")
    return figure
