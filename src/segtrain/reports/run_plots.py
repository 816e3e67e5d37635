"""The plots of a comparison: curves, cost, the CRF's gain, borders, reliability."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segtrain.reports.differences import Group
from segtrain.reports.plot import COLOURS, DASHES, INK, ONE_COLUMN, TWO_COLUMNS
from segtrain.reports.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 200  # of a curve: more cannot be seen, and would make pages large
NAMED = 12  # models that a legend names, or points of a scatter
WIDEST = 26  # letters beside or below a narrow plot
CURVES = (("train", "loss", "loss"), ("val", "mean_iou", "mean IoU"), ("train", "lr", "learning rate"))
COSTS = {"parameters": "parameters", "multiply_adds": "multiply-adds", "latency": "latency of one image"}


def _figure(width: float, height: float, axes: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, list(figure.subplots(1, axes, squeeze=False)[0])


def _in_percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0))


def line_look(number: int) -> dict[str, Any]:
    """The colour and the dashes of a model's line."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
    }


def _legend(figure: Figure, groups: Sequence[Group], **marks: Any) -> None:
    """Names the models below the plots, where they are few. marks: what replaces their lines."""
    from matplotlib.lines import Line2D

    if 1 < len(groups) <= NAMED:
        lines = [Line2D([], [], **(line_look(i) | marks)) for i in range(len(groups))]
        columns = min(len(groups), 4)
        names = [_wrapped(group.label, WIDEST * 3 // columns) for group in groups]
        figure.legend(lines, names, loc="outside lower center", ncols=columns)


def _wrapped(label: str, letters: int) -> str:
    """A label over several lines: a long one would leave its plot no room."""
    return textwrap.fill(label, letters, max_lines=4, placeholder=" ...")


def _legend_below(figure: Figure, axis: Axes) -> None:
    """Names the lines of a narrow plot below it, and makes it as much higher."""
    lines, labels = axis.get_legend_handles_labels()
    names = [_wrapped(label, 2 * WIDEST) for label in labels]
    height = 0.14 * sum(name.count("\n") + 1 for name in names)
    figure.set_figheight(figure.get_figheight() + height)
    figure.legend(lines, names, loc="outside lower center", fontsize=7)


def curves_figure(groups: Sequence[Group], labels: Mapping[str, str]) -> Figure:
    """Loss, mean IoU on the validation split and learning rate over the steps; a line a run, a colour a
    model."""
    figure, axes = _figure(TWO_COLUMNS, 2.5, len(CURVES))
    for axis, (split, key, title) in zip(axes, CURVES, strict=True):
        for number, group in enumerate(groups):
            for run in group.runs:
                steps, values = _curve(run, split, key)
                if steps:
                    marker = "o" if len(steps) == 1 else ""
                    axis.plot(
                        steps, values, **line_look(number), lw=1, marker=marker, ms=3, label=labels[run.name]
                    )
        axis.set(xlabel="step", ylabel=title)
        axis.locator_params(axis="x", nbins=5, integer=True)
    _in_percent(axes[1].yaxis)
    axes[2].ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _legend(figure, groups)
    return figure


def has_curves(groups: Sequence[Group]) -> bool:
    """Whether any run has left a curve."""
    return any(_curve(run, *of[:2])[0] for group in groups for run in group.runs for of in CURVES)


def _curve(run: Run, split: str, key: str) -> tuple[list[int], list[float]]:
    """The steps and the values of a curve, evenly thinned where it has many; the last one is kept."""
    pairs = [(r["step"], r[key]) for r in run.records(split) if isinstance(r.get(key), float | int)]
    every = -(-len(pairs) // POINTS) or 1
    kept = pairs[::-1][::every][::-1]
    return [step for step, _ in kept], [value for _, value in kept]


def cost_of_run(run: Run, key: str) -> float | None:
    """One of COSTS, or `peak_memory`; None where the run did not measure it."""
    cost = run.metrics.get("cost")
    value = run.metrics.get(key) if key == "parameters" else isinstance(cost, dict) and cost.get(key)
    return value if _is_number(value) else None


def cost_points(groups: Sequence[Group], key: str) -> list[tuple[int, float, float]]:
    """Of each model that has both: its place, the median of a cost over its seeds, the mean IoU's mean."""
    points = []
    for number, group in enumerate(groups):
        costs = [cost for run in group.runs if (cost := cost_of_run(run, key)) is not None]
        values = group.values("mean_iou")
        if costs and values and statistics.median(costs) > 0:
            points.append((number, statistics.median(costs), statistics.mean(values)))
    return points


def cost_figure(groups: Sequence[Group]) -> Figure:
    """Mean IoU against what a model costs, with the Pareto front: no other is better and costs less."""
    figure, axes = _figure(TWO_COLUMNS, 2.5, len(COSTS))
    for axis, (key, title) in zip(axes, COSTS.items(), strict=True):
        points = cost_points(groups, key)
        front = pareto_front([(cost, value) for _, cost, value in points])
        if len(front) > 1:
            axis.step(*zip(*front, strict=True), where="post", color=INK, lw=0.8, ls=":", zorder=1)
        for number, cost, value in points:
            own = groups[number].values("mean_iou")
            axis.plot([cost, cost], [min(own), max(own)], color=line_look(number)["color"], lw=1, alpha=0.6)
            axis.scatter(
                [cost], [value], color=line_look(number)["color"], s=22, zorder=3, label=groups[number].label
            )
        axis.set(xlabel=title, ylabel="mean IoU", xscale="log")
        unit = "s" if key == "latency" else ""
        axis.margins(x=0.2, y=0.15)
        _in_percent(axis.yaxis)
        axis.minorticks_off()
        if points:
            _few_ticks(axis, [cost for _, cost, _ in points], unit)
    _legend(figure, groups, linestyle="", marker="o", markersize=4.5)
    return figure


def _few_ticks(axis: Axes, costs: list[float], unit: str) -> None:
    """Ticks with short numbers also where all costs are of one power of ten."""
    from matplotlib.ticker import EngFormatter, LogLocator

    spread = max(costs) / min(costs)
    subs = (1, 2, 5) if spread < 4 else (1, 3) if spread < 30 else (1,)
    axis.xaxis.set_major_locator(LogLocator(subs=subs, numticks=5))
    axis.xaxis.set_major_formatter(EngFormatter(unit, sep=" "))
    low, high = axis.get_xlim()
    if high / low < 3:  # two ticks at least
        axis.set_xlim(low / 1.8, high * 1.8)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, value) those that no other beats in both, by rising cost.

    Example:
        >>> pareto_front([(1, 0.5), (2, 0.4), (3, 0.9)])
        [(1, 0.5), (3, 0.9)]
    """
    front: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front


def with_crf(groups: Sequence[Group]) -> list[Group]:
    """The models whose runs were evaluated with and without a CRF."""
    return [group for group in groups if group.values("mean_iou_crf")]


def crf_figure(groups: Sequence[Group]) -> Figure:
    """Mean IoU of the network and after the CRF, a row a model."""
    names = [_wrapped(group.label, WIDEST) for group in groups]
    lines = max(name.count("\n") + 1 for name in names)
    figure, (axis,) = _figure(ONE_COLUMN, 0.9 + (0.1 + 0.14 * lines) * len(groups))
    rows = list(range(len(groups)))[::-1]
    before = [statistics.mean(group.values("mean_iou")) for group in groups]
    after = [statistics.mean(group.values("mean_iou_crf")) for group in groups]
    axis.hlines(rows, before, after, color=INK, lw=0.8)
    axis.scatter(before, rows, color=COLOURS[0], marker="o", s=24, label="network", zorder=3)
    axis.scatter(after, rows, color=COLOURS[1], marker="s", s=24, label="with CRF", zorder=3)
    axis.set_yticks(rows, names)
    axis.set(xlabel="mean IoU", ylim=(-0.6, len(groups) - 0.4))
    _in_percent(axis.xaxis)
    axis.margins(x=0.1)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def trimaps(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Of each model that has it the mean IoU near borders by width, the mean over its seeds; of the first
    run's CRF too."""
    found: dict[str, dict[str, float]] = {}
    for group in groups:
        for suffix, of in (("", None), (" with CRF", "with_crf")):
            curves = [
                curve
                for run in group.runs
                if isinstance(
                    curve := (run.metrics.get(of) or {} if of else run.metrics).get("trimap_mean_iou"), dict
                )
            ]
            first = [width for width in (curves[0] if curves else ()) if width.isdigit()]
            widths = [w for w in first if all(_is_number(c.get(w)) for c in curves)]
            if widths:
                found[group.label + suffix] = {w: statistics.mean(c[w] for c in curves) for w in widths}
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def trimap_curves(curves: Mapping[str, Mapping[str, float]]) -> Figure:
    """Mean IoU within so many pixels of a border."""
    figure, (axis,) = _figure(ONE_COLUMN, 2.6)
    for number, (label, curve) in enumerate(curves.items()):
        axis.plot(
            [int(w) for w in curve], list(curve.values()), **line_look(number), marker="o", ms=3, label=label
        )
    widths = sorted({int(width) for curve in curves.values() for width in curve})
    axis.set_xscale("log", base=2)
    axis.set_xticks(widths, [str(width) for width in widths])
    axis.set(xlabel="pixels on either side of a border", ylabel="mean IoU")
    _in_percent(axis.yaxis)
    if len(curves) <= NAMED:
        _legend_below(figure, axis)
    return figure


def reliabilities(groups: Sequence[Group]) -> dict[str, list[list[float]]]:
    """Of each model whose calibration was measured its first seed's bins: pixels, confidence, accuracy."""
    return {
        group.label: bins
        for group in groups
        if isinstance(bins := group.runs[0].metrics.get("calibration_bins"), list) and bins
    }


def reliability_figure(bins: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Accuracy against confidence: on the diagonal a network is as often right as it says."""
    figure, (axis,) = _figure(ONE_COLUMN, 2.9)
    axis.plot([0, 1], [0, 1], color=INK, lw=0.7, ls=":")
    for number, (label, rows) in enumerate(bins.items()):
        shown = [row for row in rows if row[0] > 0]
        x, y = [row[1] for row in shown], [row[2] for row in shown]
        axis.plot(x, y, **line_look(number), marker="o", ms=3, label=label)
    axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    _in_percent(axis.xaxis)
    _in_percent(axis.yaxis)
    if len(bins) <= NAMED:
        _legend_below(figure, axis)
    return figure
