"""What `segreport` does, and what a sweep and a comparison end with: a page of runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segtrain import __version__
from segtrain.commands.paths import relative
from segtrain.evaluation.bootstrap import LEVEL, interval, mean_iou, resampled
from segtrain.evaluation.groups import compare_groups, holm
from segtrain.progress import Terminal
from segtrain.reports.assemble import Significance, compare_runs
from segtrain.reports.comparison import Interval, TestedPair
from segtrain.reports.differences import Differences, Group, find_differences
from segtrain.reports.gallery import gallery
from segtrain.reports.runs import Run, find_runs, read_runs_of

FEWEST = 2  # models, that there is anything to test


def write_report(given: Sequence[str], folder: Path, *, seed: int = 0, title: str | None = None) -> Path:
    """Compares runs, writes `report.html` and the folder `report` of tables and plots, and says where.

    Args:
        given: folders of runs or of sweeps; patterns with `*`.
        folder: that the page goes to.
        seed: of the random order of images.
        title: of the page; by default the runs' folder.

    Returns:
        The page.

    Raises:
        InputError: no run is there.
        SaveError: a file cannot be written.

    Example:
        >>> write_report(["outputs/multirun/2026-01-31_12-00-00"], Path("report"))
    """
    runs = read_runs_of(find_runs(given))
    found = find_differences(runs)
    shown = gallery(found.groups, seed=seed)
    title = title or f"Comparison of {', '.join(relative(Path(place)) for place in given[:3])}"
    made = compare_runs(runs, found, significance_of(found), shown, title=title, version=__version__)
    path = made.write(folder)
    Terminal(soft_wrap=True).print(f"report: {relative(path)}", highlight=False, markup=False)
    return path


def significance_of(found: Differences) -> Significance:
    """The intervals of runs and models, and the tests between models that were evaluated on the same images.

    All p values are corrected together.
    """
    intervals: dict[str, Interval | None] = {}
    for group in found.groups:
        for run in group.runs:
            intervals[run.name] = _interval_of(run)
        if len(group.runs) > 1 and all(run.kept for run in group.runs):
            intervals[group.label] = _interval_of_mean(group)
        else:
            intervals.setdefault(group.label, intervals[group.runs[0].name])
    alike: dict[tuple, list[int]] = {}
    for place, group in enumerate(found.groups):
        named = {(run.kept.names, run.kept.class_names) if run.kept else None for run in group.runs}
        if len(named) == 1 and (names := named.pop()) is not None:
            alike.setdefault(names, []).append(place)
    tested = [members for members in alike.values() if len(members) >= FEWEST]
    pairs = [pair for members in tested for pair in _pairs(members, found.groups)]
    corrected = holm([pair.p for pair in pairs])
    limit = 1 - LEVEL / 100
    pairs = [
        pair._replace(p=p, significant=p is not None and p < limit)
        for pair, p in zip(pairs, corrected, strict=True)
    ]
    several = len(found.groups) >= FEWEST
    return Significance(intervals, pairs, len(found.groups) - sum(map(len, tested)) if several else 0)


def _counts(run: Run) -> np.ndarray:
    """Of the network's predictions, as the mean IoU of the tables, int64 N×3×C."""
    assert run.kept is not None
    return run.kept.counts[0]


def _interval_of(run: Run) -> Interval | None:
    """Of the network's mean IoU: what metrics.json says, else from the counts of images."""
    said = run.metrics.get("mean_iou_interval")
    if isinstance(said, list) and len(said) == 2:
        return (said[0], said[1])
    return interval(run.kept.counts[0]) if run.kept else None


def _interval_of_mean(group: Group) -> Interval | None:
    """Of the mean over seeds of the network's mean IoU, over images."""
    of_seeds = [
        np.concatenate([np.empty(0), *map(mean_iou, resampled(run.kept.counts[0], 0))])
        for run in group.runs
        if run.kept and run.kept.counts.shape == group.runs[0].kept.counts.shape  # type: ignore[union-attr]
    ]
    draws = np.stack(of_seeds).mean(0)
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return None
    low, high = np.percentile(draws, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


def _pairs(members: Sequence[int], groups: Sequence[Group]) -> list[TestedPair]:
    """The tests between some models; their p values are not corrected yet."""
    found = compare_groups([[_counts(run) for run in groups[place].runs] for place in members])
    return [
        TestedPair(
            members[one.first], members[one.second], one.mean_iou, one.interval, one.p, False, one.over_seeds
        )
        for one in found
    ]
