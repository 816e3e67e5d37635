"""The tables of a comparison: models, runs, which differences are significant, and each class."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from segtrain.reports.differences import Differences, Group
from segtrain.reports.heat import class_ious
from segtrain.reports.run_plots import cost_of_run
from segtrain.reports.runs import Run
from segtrain.reports.tables import Cell, PageTable, text_cells
from segtrain.viz.tables import EXTRA_LABELS, METRIC_LABELS, NUMBERS, interval_text, number, percent

Interval = tuple[float, float]
LESS_IS_BETTER = ("calibration_error", "hd95", "hd95_undefined")
NO_METRIC = ("parameters", "seconds", "seconds_per_step", "images", "threshold", "exit_code", "mean_iou_crf")


class TestedPair(NamedTuple):
    """Two models, by `first` and `second`, their indices: the second's mean IoU minus the first's, its 95 %
    interval, and the p value after Holm's correction; None where it could not be tested."""

    first: int
    second: int
    gain: float | None
    interval: Interval | None
    p: float | None
    significant: bool
    over_seeds: bool


class Quantity(NamedTuple):
    """A column of numbers: its title, its value of a run, how it is written, and whether more, less or
    neither is better."""

    title: str
    value: Callable[[Run], float | None]
    text: Callable[[float], str]
    better: Callable[[Sequence[float]], float] | None = None


def training_time(run: Run) -> float | None:
    """Seconds of the steps, without validations, over all resumes: of `metrics.jsonl`."""
    return _sums(run)[0] or None


def images_per_second(run: Run) -> float | None:
    """Of the training, over all steps."""
    seconds, images = _sums(run)
    return images / seconds if seconds else None


def _sums(run: Run) -> tuple[float, float]:
    seconds = images = 0.0
    before = 0
    for record in run.records("train"):
        each, rate = record.get("seconds_per_step"), record.get("images_per_second")
        if isinstance(each, float | int) and isinstance(rate, float | int):
            seconds += (record["step"] - before) * each
            images += (record["step"] - before) * each * rate
        before = record["step"]
    return seconds, images


def quantities(runs: Sequence[Run]) -> list[Quantity]:
    """The columns that any of the runs has a number for: metrics, then what they cost."""
    names = list(METRIC_LABELS)
    if any(run.metrics.get("mean_iou_crf") is not None for run in runs):
        names.insert(names.index("mean_iou") + 1, "mean_iou_crf")
    known = {**METRIC_LABELS, "mean_iou_crf": "with CRF", **EXTRA_LABELS}
    extra = dict.fromkeys(k for run in runs for k, v in run.metrics.items() if _is_number(v))
    names += [key for key in extra if key not in names and key not in NO_METRIC]
    names.remove("mean_iou")
    names.insert(0, "mean_iou")
    found = []
    for key in names:
        as_it_is = key in NUMBERS
        title = known.get(key, key) if as_it_is else f"{known.get(key, key)} %"
        better = None if key == "threshold" else min if key in LESS_IS_BETTER else max
        found.append(Quantity(title, _metric(key), number if as_it_is else percent, better))
    found += [
        Quantity("parameters", lambda run: cost_of_run(run, "parameters"), counted),
        Quantity("multiply-adds", lambda run: cost_of_run(run, "multiply_adds"), counted),
        Quantity("training time", training_time, duration),
        Quantity("images/s in training", images_per_second, number),
        Quantity("latency, ms", lambda run: cost_of_run(run, "latency"), lambda s: number(1000 * s)),
        Quantity(
            "peak memory, GiB", lambda run: cost_of_run(run, "peak_memory"), lambda b: f"{b / 2**30:.2f}"
        ),
    ]
    return [each for each in found if any(each.value(run) is not None for run in runs)]


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _metric(key: str) -> Callable[[Run], float | None]:
    return lambda run: value if _is_number(value := run.metrics.get(key)) else None


def counted(value: float) -> str:
    """`134.4 M` of a count."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """`2 h 05 min`, `3 min 12 s` or `8.1 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def models_table(
    found: Differences, columns: Sequence[Quantity], intervals: Mapping[str, Interval | None]
) -> PageTable:
    """A row a model: means over its seeds ± std, each seed a dot.

    Args:
        found: the models.
        columns: see `quantities`.
        intervals: of each model's mean IoU over images, by its label.
    """
    every = [[_values(group, column) for column in columns] for group in found.groups]
    rows = []
    for group, of_columns in zip(found.groups, every, strict=True):
        row = [Cell(group.label), Cell(str(len(group.runs)), len(group.runs))]
        for j, (column, values) in enumerate(zip(columns, of_columns, strict=True)):
            means = [statistics.mean(of[j]) for of in every if of[j]]
            row.append(_mean_cell(column, values, [v for of in every for v in of[j]], means))
            if j == 0:
                row.append(Cell(interval_text(intervals.get(group.label)) or "-"))
        rows.append(row)
    titles = [
        "model",
        "seeds",
        columns[0].title,
        "95 % over images",
        *(column.title for column in columns[1:]),
    ]
    caption = "Means over seeds ± std, a dot a seed. The interval is over images, of the mean over seeds."
    return PageTable("models", caption, titles, [False, *[True] * (len(titles) - 1)], rows)


def _values(group: Group, column: Quantity) -> list[float]:
    return [value for run in group.runs if (value := column.value(run)) is not None]


def _mean_cell(column: Quantity, values: list[float], of_all: list[float], means: list[float]) -> Cell:
    if not values:
        return Cell("-")
    mean = statistics.mean(values)
    best = column.better is not None and len(means) > 1 and mean == column.better(means)
    if len(values) == 1 or column.better is None:  # costs do not depend on the seed: their median
        middle = statistics.median(values)
        return Cell(column.text(middle), middle, best=best)
    low, high = min(of_all), max(of_all)
    dots = tuple((value - low) / (high - low) if high > low else 0.5 for value in values)
    return Cell(column.text(mean), mean, f"± {column.text(statistics.stdev(values))}", best=best, dots=dots)


def runs_table(
    runs: Sequence[Run],
    found: Differences,
    columns: Sequence[Quantity],
    intervals: Mapping[str, Interval | None],
) -> PageTable:
    """A row a run: what is its own, its metrics and its cost.

    Args:
        runs: those with metrics.
        found: see `differences`.
        columns: see `quantities`.
        intervals: of each run's mean IoU, by its name.
    """
    seeds = len({str(run.seed) for run in runs}) > 1
    titles = ["run", *found.keys, *(["seed"] if seeds else []), columns[0].title if columns else "mean IoU %"]
    titles += ["95 % interval", *(column.title for column in columns[1:])]
    best = [_best(column, runs) for column in columns]
    rows = []
    for run in sorted(runs, key=lambda run: -(run.metrics.get("mean_iou") or 0)):
        row = [Cell(run.name), *map(Cell, found.values[run.name])]
        row += [_text_or_number(run.seed)] if seeds else []
        cells = []
        for column, top in zip(columns, best, strict=True):
            value = column.value(run)
            cells.append(Cell("-") if value is None else Cell(column.text(value), value, best=value == top))
        row += [*(cells[:1] or [Cell("-")]), Cell(interval_text(intervals.get(run.name)) or "-"), *cells[1:]]
        rows.append(row)
    texts = {"run", *found.keys}
    return PageTable("runs", "Every run.", titles, [title not in texts for title in titles], rows)


def problems_table(runs: Sequence[Run], found: Differences) -> PageTable | None:
    """The runs without metrics, and those with something damaged, with the reason; None without any."""
    rows = []
    for run in runs:
        reasons = list(dict.fromkeys(filter(None, (run.problem, *run.notes))))
        if reasons:
            rows.append([*text_cells(run.name, found.labels[run.name], "; ".join(reasons))])
    columns = ["run", "model", "reason"]
    caption = "Runs that failed, are unfinished or damaged."
    return PageTable("problems", caption, columns, [False] * 3, rows) if rows else None


def _best(column: Quantity, runs: Sequence[Run]) -> float | None:
    values = [value for run in runs if (value := column.value(run)) is not None]
    return column.better(values) if column.better and len(values) > 1 else None


def _text_or_number(value: Any) -> Cell:
    text = "" if value is None else str(value)
    return Cell(text, int(text)) if text.isdigit() else Cell(text)


def pairs_table(groups: Sequence[Group], pairs: Sequence[TestedPair]) -> PageTable:
    """A matrix of all pairs: the row's mean IoU minus the column's, and Holm's p value."""
    found = {(pair.second, pair.first): pair for pair in pairs}
    rows = []
    for i, group in enumerate(groups):
        row = [Cell(group.label)]
        for j in range(len(groups)):
            pair, sign = found.get((i, j)), 1
            if pair is None:
                pair, sign = found.get((j, i)), -1
            row.append(Cell("") if pair is None else _pair_cell(pair, sign))
        rows.append(row)
    columns = ["row − column, points", *(group.label for group in groups)]
    caption = "Difference of mean IoU in points, and Holm's p value; significant ones, below 0.05, are bold."
    return PageTable("pairs", caption, columns, [False, *[True] * len(groups)], rows, unsorted=True)


def _pair_cell(pair: TestedPair, sign: int) -> Cell:
    if pair.gain is None or pair.p is None:
        return Cell("-")
    gain = sign * pair.gain
    shade = min(abs(gain) * 5, 1.0) if pair.significant else None
    return Cell(
        f"{100 * gain:+.1f}".replace("-", "−"), gain, f"p {pair.p:.2g}", shade=shade, best=pair.significant
    )


def verdict_lines(groups: Sequence[Group], pairs: Sequence[TestedPair], left_out: int) -> list[str]:
    """What the tests say, in a few sentences."""
    tested = [pair for pair in pairs if pair.p is not None]
    lines = []
    if tested:
        significant = sum(pair.significant for pair in tested)
        if len(tested) > 1:
            lines.append(
                f"{significant} of {len(tested)} differences of mean IoU"
                f" {'is' if significant == 1 else 'are'} significant at 5 %, all together"
                " (paired bootstrap over the same images, Holm's correction)."
            )
        else:
            lines.append(
                f"The difference of mean IoU is {'' if significant else 'not '}significant at 5 %"
                " (paired bootstrap over the same images)."
            )
        others = [pair for pair in tested if pair.first == 0]  # the best is tested against them
        equal = [groups[pair.second].label for pair in others if not pair.significant]
        if equal:
            lines.append(f"Not significantly worse than the best, {groups[0].label}: {', '.join(equal)}.")
        elif others:
            names = ", ".join(groups[pair.second].label for pair in others)
            than = "all others" if 1 < len(others) == len(groups) - 1 else names
            lines.append(f"{groups[0].label} is significantly better than {than}.")
        if not all(pair.over_seeds for pair in tested):
            lines.append(
                "Where a model has one run, its tests are over images alone and hold for that checkpoint:"
                " another seed may differ as much. Run several seeds, seed=0,1,2, to compare models."
            )
    if left_out:
        lines.append(
            f"In no test: {left_out} of the models; without counts of images, or evaluated on others."
        )
    return lines


def classes_table(groups: Sequence[Group]) -> PageTable | None:
    """The IoU of each class, a column a model; None without classes."""
    names, ious = class_ious(groups)
    if not names:
        return None
    rows = []
    for name, values in zip(names, ious.tolist(), strict=True):
        known = [value for value in values if value == value]
        row = [Cell(name)]
        for value in values:
            best = bool(known) and value == max(known) and percent(value) != percent(min(known))
            row.append(Cell(percent(value), value, shade=value, best=best) if value == value else Cell("-"))
        rows.append(row)
    columns = ["class", *(group.label for group in groups)]
    caption = "IoU % of each class, means over seeds, of the network before a CRF."
    return PageTable("classes", caption, columns, [False, *[True] * len(groups)], rows)
