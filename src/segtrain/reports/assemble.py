"""The page of a comparison, from runs and the tests between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtrain.reports import comparison, heat, run_plots
from segtrain.reports.comparison import Interval, TestedPair
from segtrain.reports.differences import Differences, Group
from segtrain.reports.gallery import ORDERS, Gallery
from segtrain.reports.kept import confidence_colours
from segtrain.reports.page import page, write_page
from segtrain.reports.plot import Plot, plot
from segtrain.reports.provenance import configs_table, departures_table, origins_table, repeating_commands
from segtrain.reports.runs import Run
from segtrain.reports.tables import PageTable
from segtrain.viz.contact_sheet import WRONG
from segtrain.wording import how_many

PAGE, EXPORTS = "report.html", "report"
MATRICES = 4  # confusion matrices, of the best models


class Significance(NamedTuple):
    """What was computed of the counts of images.

    Attributes:
        intervals: of the mean IoU, 95 %, by a run's name or a model's label.
        pairs: of models, in the order of `Differences.groups`.
        left_out: models that are in no test.
    """

    intervals: Mapping[str, Interval | None]
    pairs: Sequence[TestedPair]
    left_out: int


class ComparisonPage(NamedTuple):
    """A page, and its tables and plots as they are exported."""

    html: str
    tables: list[PageTable]
    plots: list[Plot]

    def write(self, folder: Path) -> Path:
        """Writes `report.html`, and below `report/` each table as CSV, Markdown and LaTeX and each plot as
        SVG and PDF.

        Raises:
            SaveError: a file cannot be written.
        """
        for table in self.tables:
            table.write(folder / EXPORTS)
        for drawn in self.plots:
            drawn.write(folder / EXPORTS)
        write_page(folder / PAGE, self.html)
        return folder / PAGE


def compare_runs(
    runs: Sequence[Run],
    found: Differences,
    tests: Significance,
    gallery: Gallery | None,
    *,
    title: str,
    version: str,
) -> ComparisonPage:
    """Makes the page.

    Args:
        runs: all, also those that failed.
        found: in what they differ.
        tests: see `Significance`.
        gallery: the images; None where none can be compared.
        title: of the page.
        version: of segtrain.

    Example:
        >>> compare_runs(runs, find_differences(runs), tests, None, title="", version="1").write(folder)
    """
    done = [run for run in runs if not run.problem]
    columns = comparison.quantities(done)
    tables: dict[str, PageTable | None] = {
        "models": comparison.models_table(found, columns, tests.intervals) if found.over_seeds else None,
        "runs": comparison.runs_table(done, found, columns, tests.intervals),
        "pairs": comparison.pairs_table(found.groups, tests.pairs) if tests.pairs else None,
        "classes": comparison.classes_table(found.groups),
        "problems": comparison.problems_table(runs, found),
        "origins": origins_table(done or runs),
        "departures": departures_table(done, found.labels),
        "configs": configs_table(done, found.labels),
    }
    plots = _plots(found)
    context: dict[str, Any] = {
        "summary": _summary(runs, found),
        "shared": found.shared,
        "verdicts": comparison.verdict_lines(found.groups, tests.pairs, tests.left_out),
        "gallery": gallery,
        "orders": {
            key: name
            for key, name in ORDERS.items()
            if gallery and any(key in c.ranks for c in gallery.cards)
        },
        "confidence_colours": [f"rgb({r},{g},{b})" for r, g, b in confidence_colours()[::3].tolist()],
        "wrong": WRONG,
        "commands": repeating_commands(runs),
        "version": version,
        "exported": f"The folder {EXPORTS} has tables as CSV, Markdown, LaTeX and plots as SVG, PDF.",
    }
    shown = [name for name in ("curves", "cost") if name in plots]
    context |= tables | {name: plots.get(name) for name in ("curves", "cost", "class_map")}
    context["confusion"] = [made for name, made in plots.items() if name.startswith("confusion")]
    context["details"] = [plots[name] for name in ("crf", "trimap", "reliability") if name in plots]
    context["sections"] = _sections(context, shown)
    return ComparisonPage(
        page(title, "comparison.html", context), [t for t in tables.values() if t], [*plots.values()]
    )


def _sections(context: Mapping[str, Any], shown: Sequence[str]) -> list[tuple[str, str]]:
    every = {
        "results": ("Results", True),
        "significance": ("Significance", context["pairs"] or context["verdicts"]),
        "curves-section": ("Curves", "curves" in shown),
        "cost-section": ("Cost", "cost" in shown),
        "classes-section": ("Classes", context["classes"]),
        "confusion-section": ("Confusion", context["confusion"]),
        "details": ("CRF, borders, reliability", context["details"]),
        "images": ("Images", context["gallery"]),
        "origin": ("What was run", True),
    }
    return [(anchor, name) for anchor, (name, there) in every.items() if there]


def _summary(runs: Sequence[Run], found: Differences) -> str:
    failed = sum(bool(run.problem) for run in runs)
    images = sorted({run.metrics["images"] for run in runs if isinstance(run.metrics.get("images"), int)})
    some = how_many(images[0], "image") if len(images) == 1 else f"{' or '.join(map(str, images))} images"
    of = f", evaluated on {some}" if images else ""
    what = how_many(len(runs), "run")
    without = f" {failed} of them ha{'ve' if failed > 1 else 's'} no metrics." if failed else ""
    models = f" of {len(found.groups)} models" if found.over_seeds and len(found.groups) > 1 else ""
    best = found.groups[0] if found.groups else None
    values = best.values("mean_iou") if best else []
    if best is None or not values or len(runs) == 1:
        return f"{what}{of}.{without}"
    mean = f"{100 * sum(values) / len(values):.1f} %{' as mean over seeds,' if len(values) > 1 else ''}"
    return f"{what}{models}{of}.{without} The best mean IoU, {mean} is that of {best.label}."


def _plots(found: Differences) -> dict[str, Plot]:
    """The plots that there is anything for, by name."""
    groups, made = found.groups, {}

    def add(name: str, caption: str, draw: Any) -> None:
        made[name] = plot(name, caption, draw)

    if run_plots.has_curves(groups):
        caption = "Training loss, validation mean IoU, learning rate; a line a run, a colour a model."
        add("curves", caption, lambda: run_plots.curves_figure(groups, found.labels))
    if len(groups) > 1 and any(run_plots.cost_points(groups, key) for key in run_plots.COSTS):
        caption = (
            "Mean IoU against parameters, multiply-adds and time of one image. The dotted line is the Pareto"
            " front: for a model below it another is better and costs no more. Bars: worst to best seed."
        )
        add("cost", caption, lambda: run_plots.cost_figure(groups))
    names, ious = heat.class_ious(groups)
    if names and len(groups) > 1:
        labels = [group.label for group in groups]
        add("class_map", "IoU % of each class.", lambda: heat.heat_figure(100 * ious.T, labels, names))
    made |= _confusions(groups)
    if refined := run_plots.with_crf(groups):
        add("crf", "Mean IoU of the network and after the dense CRF.", lambda: run_plots.crf_figure(refined))
    if curves := run_plots.trimaps(groups):
        add("trimap", "Mean IoU near borders.", lambda: run_plots.trimap_curves(curves))
    if bins := run_plots.reliabilities(groups):
        caption = (
            "Accuracy of pixels by their confidence: on the diagonal a network is as right as it is sure."
        )
        add("reliability", caption, lambda: run_plots.reliability_figure(bins))
    return made


def _confusions(groups: Sequence[Group]) -> dict[str, Plot]:
    """The confusion matrices of the best models; of two also their difference."""
    made: dict[str, Plot] = {}
    shares = [(group, heat.confusion_shares(group)) for group in groups[:MATRICES]]
    having = [(group, share, heat.class_ious([group])[0]) for group, share in shares if share is not None]
    for number, (group, share, names) in enumerate(having):
        refined = " after the CRF" if group.values("mean_iou_crf") else ""
        caption = (
            f"{group.label}{refined}: of the pixels of each class (row) the percentage predicted as each"
            " (column)."
        )
        if len(names) == len(share):
            name = f"confusion_{number + 1}"
            made[name] = plot(name, caption, partial(_matrix, share, names))
    if len(groups) == 2 and len(made) == 2 and having[0][2] == having[1][2]:
        (first, a, names), (second, b, _) = having
        caption = f"Confusion of {second.label} minus that of {first.label}, in points of the class's pixels."
        made["confusion_difference"] = plot(
            "confusion_difference", caption, lambda: _matrix(b - a, names, signed=True)
        )
    return made


def _matrix(share: np.ndarray, names: Sequence[str], *, signed: bool = False) -> Any:
    return heat.heat_figure(share, names, names, signed=signed, labels=("predicted", "label"))
