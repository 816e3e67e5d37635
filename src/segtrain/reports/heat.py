"""Heat maps: IoU of each class, confusion matrices and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segtrain.reports.differences import Group
from segtrain.reports.plot import ONE_COLUMN, TWO_COLUMNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READABLE = 600  # cells with numbers; more cannot be read
CELL = 0.27  # inches
LONGEST = 60  # letters of a name: longer ones would leave no room


def heat_figure(
    percent: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    signed: bool = False,
    labels: Sequence[str] = (),
) -> Figure:
    """Draws a table of percentages as colours, with the numbers where they can be read.

    Args:
        percent: float R×C, NaN where there is none.
        rows, columns: their names.
        signed: whether they are differences, from -100 to 100; else from 0 to 100.
        labels: of the x and the y axis.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    rows, columns = ([n if len(n) <= LONGEST else f"{n[:LONGEST]} ..." for n in of] for of in (rows, columns))
    longest = max(map(len, [*rows, ""])), max(map(len, [*columns, ""]))
    left, bottom = 0.35 + 0.062 * longest[0], 0.35 + 0.062 * longest[1]
    cell = min(CELL, (TWO_COLUMNS - left) / max(len(columns), 1))
    width = max(left + cell * len(columns) + 0.15, ONE_COLUMN if len(columns) > 4 else 1.8)
    height = bottom + max(min(CELL, cell), 0.05) * len(rows) + 0.15
    figure = Figure(figsize=(min(width, TWO_COLUMNS), height))
    axes = figure.subplots()
    limit = max(float(np.nanmax(np.abs(percent), initial=0)), 1) if signed else 100
    chosen = colormaps["PuOr_r" if signed else "cividis"]
    shown = axes.imshow(
        percent, cmap=chosen, vmin=-limit if signed else 0, vmax=limit, aspect="auto", interpolation="nearest"
    )
    size = 7 if cell > 0.2 else 5
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if labels:
        axes.set(xlabel=labels[0], ylabel=labels[1])
    if percent.size <= READABLE:
        for (i, j), value in np.ndenumerate(percent):
            if np.isnan(value) or (abs(value) < 0.5 and labels):
                continue
            red, green, blue, _ = shown.cmap(shown.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text = f"{value:+.0f}" if signed else f"{value:.0f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
    return figure


def class_ious(groups: Sequence[Group]) -> tuple[list[str], np.ndarray]:
    """The classes that any model has, and their IoU: float R×G, the mean over seeds, NaN for none."""
    of_runs = [[run.metrics.get("per_class") or {} for run in group.runs] for group in groups]
    names = list(dict.fromkeys(name for runs in of_runs for run in runs for name in run))
    result = np.full((len(names), len(groups)), np.nan)
    for j, runs in enumerate(of_runs):
        for i, name in enumerate(names):
            found = [v for run in runs if isinstance(v := (run.get(name) or {}).get("iou"), float | int)]
            if found:
                result[i, j] = sum(found) / len(found)
    return names, result


def confusion_shares(group: Group) -> np.ndarray | None:
    """The confusion matrix of a model's seeds together, each row in percent of its class's pixels."""
    matrices = [run.metrics.get("confusion_matrix") for run in group.runs]
    try:
        whole = np.sum([np.asarray(matrix, float) for matrix in matrices if matrix], axis=0)
    except (ValueError, TypeError):
        return None
    if whole.ndim != 2 or whole.shape[0] != whole.shape[1]:
        return None
    return 100 * whole / np.maximum(whole.sum(1, keepdims=True), 1)
