"""The curves of a training, as one figure: `results.png`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour-blind people see them apart: Okabe and Ito, "Color Universal Design", 2008.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
TERMS = (GREEN, ORANGE, PURPLE, SKY)  # of the terms of a loss
SMOOTHED_FROM = 30  # points of a curve; fewer are drawn as they are
SIZE = 13  # points of the letters: readable on a slide


def results_figure(records: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draws a run's loss, mean IoU on the validation split and learning rate over its steps.

    Args:
        records: the lines of `metrics.jsonl`: `step`, `split` (train or val), and values.
        title: of the figure.

    Returns:
        A matplotlib figure of three plots; what was not logged leaves its plot empty.

    Example:
        >>> results_figure([{"step": 10, "split": "train", "loss": 0.7, "lr": 1e-3}], "fcn8s_camvid")
    """
    from matplotlib.figure import Figure

    train = [record for record in records if record["split"] == "train"]
    val = [record for record in records if record["split"] == "val"]
    figure = Figure(figsize=(16, 4.8))  # a layout engine would draw it twice
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.14, top=0.82, wspace=0.2)
    figure.suptitle(title, fontsize=SIZE + 3)
    loss, mean_iou, rate = figure.subplots(1, 3)
    _draw_loss(loss, train)
    _draw_mean_iou(mean_iou, val)
    rate.plot(*_curve(train, "lr"), color=BLUE, linewidth=2)
    _label(rate, "learning rate", "learning rate")
    rate.yaxis.get_offset_text().set_size(SIZE)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    last = max((record["step"] for record in records), default=1)
    for axes in (loss, mean_iou, rate):
        axes.set(xlim=(0, 1.02 * last), ylim=(0 if axes.dataLim.ymin >= 0 else None, None))
        axes.tick_params(labelsize=SIZE)
        axes.locator_params(axis="x", nbins=6, integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure


def _label(axes: Axes, title: str, quantity: str) -> None:
    """Writes titles at fixed places: to look for room, matplotlib would lay out every number twice."""
    axes.set_title(title, fontsize=SIZE + 1, y=1.03)
    axes.set_xlabel("step", fontsize=SIZE)
    axes.set_ylabel(quantity, fontsize=SIZE)
    axes.xaxis.set_label_coords(0.5, -0.1)
    axes.yaxis.set_label_coords(-0.115, 0.5)


def _draw_loss(axes: Axes, train: list[Mapping[str, Any]]) -> None:
    """The loss, and each of its terms where it has several; long curves also as a moving mean."""
    names = dict.fromkeys(name for record in train for name in record if name.startswith("loss"))
    for name, colour in zip(names, [BLUE, *TERMS * (1 + len(names) // len(TERMS))], strict=False):
        steps, values = _curve(train, name)
        label = "loss" if name == "loss" else name.removeprefix("loss/")
        if len(values) < SMOOTHED_FROM:
            axes.plot(steps, values, color=colour, linewidth=2, label=label)
            continue
        axes.plot(steps, values, color=colour, linewidth=1, alpha=0.3)
        axes.plot(steps, moving_mean(values), color=colour, linewidth=2, label=f"{label}, moving mean")
    _label(axes, "loss on the training split", "loss")
    if names:
        axes.legend(frameon=False, fontsize=SIZE)


def _draw_mean_iou(axes: Axes, val: list[Mapping[str, Any]]) -> None:
    """The network's mean IoU with its best validation, and the CRF's where it was measured."""
    steps, values = _curve(val, "mean_iou", 100)
    _label(axes, "mean IoU on the validation split", "mean IoU %")
    if not np.isfinite(values).any():
        return
    axes.plot(steps, values, color=BLUE, linewidth=2, marker="o", markersize=5, label="network")
    refined = _curve(val, "mean_iou_crf", 100)
    if np.isfinite(refined[1]).any():
        axes.plot(*refined, color=VERMILION, linewidth=2, marker="s", markersize=8, label="with CRF")
    best = int(np.nanargmax(values))
    label = f"best: {values[best]:.1f} % at step {steps[best]:,.0f}"
    axes.scatter(
        steps[best],
        values[best],
        s=250,
        c=ORANGE,
        marker="*",
        edgecolor="black",
        zorder=3,
        clip_on=False,
        label=label,
    )
    axes.legend(loc="lower right", frameon=False, fontsize=SIZE)


def _curve(
    records: Sequence[Mapping[str, Any]], name: str, factor: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The steps that have a value, and the values (NaN for null), float64 N each."""
    found = [(record["step"], record[name]) for record in records if name in record]
    values = [np.nan if value is None else factor * value for _, value in found]
    return np.array([step for step, _ in found], float), np.array(values, float)


def moving_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each value and those around it, a fifteenth of all; fewer at the ends.

    Args:
        values: float N.

    Returns:
        float64 N.

    Example:
        >>> moving_mean(np.arange(45.0))[0]
        0.5
    """
    half = max(len(values) // 30, 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    first, last = np.maximum(positions - half, 0), np.minimum(positions + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)
