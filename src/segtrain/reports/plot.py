"""Plots inside of a page: SVG that matplotlib drew, in the page's colours, with values to point at."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from segtrain.files import write_bytes
from segtrain.viz.curves import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from segtrain.viz.drawing import LETTERS, NO_DATES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # of letters and axes: black on paper, the text's colour on a page
ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0  # inches: the width of a paper's column, and of its text
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, "#8C6D31", "#7F7F7F")
ENLARGED = 1.85  # of a plot on a page
DASHES = ("-", "--", ":", "-.")  # where there are more lines than colours
STYLE: Any = (
    LETTERS
    | {
        "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
        "font.family": "sans-serif",
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "lines.linewidth": 1.4,
        "figure.constrained_layout.use": True,
    }
    | dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK)
)


class Plot(NamedTuple):
    """A plot of a page.

    Attributes:
        name: of its files, and the prefix of the names inside of the SVG: unique on the page.
        caption: below it.
        svg: to be put into the page.
        hover: JSON of the axes and of the series in them, for `page.js`.
        figure: matplotlib's, at the size of a paper; `paper`: it as SVG.
    """

    name: str
    caption: str
    svg: Markup
    hover: Markup
    figure: Figure
    paper: bytes

    @property
    def width(self) -> int:
        """On a page, in CSS pixels: letters of 8 points are as large as the text."""
        return round(72 * ENLARGED * float(self.figure.get_figwidth()))

    def write(self, folder: Path) -> None:
        """Writes `NAME.svg` and `NAME.pdf`, with letters that can be searched. Raises SaveError."""
        write_bytes(folder / f"{self.name}.svg", self.paper)
        write_bytes(folder / f"{self.name}.pdf", _saved(self.figure, "pdf", self.name))


def plot(name: str, caption: str, draw: Callable[[], Figure]) -> Plot:
    """Draws a plot for a page.

    Args:
        name: unique on the page, letters, digits and underscores.
        caption: below it.
        draw: makes the figure, at the size of a paper. A line or scatter with a label is a series that
            shows its values to the pointer; series of one label are shown together in all axes.

    Example:
        >>> plot("loss", "Loss of each run.", lambda: loss_figure(runs)).svg[:4]
        Markup('<svg')
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = draw()
        hover = _name_series(figure, name)
        paper = _saved(figure, "svg", name)
        figure.set_layout_engine("none")  # it stays as it is laid out now
    svg = paper.decode()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    wanted = {*re.findall(r"#([\w-]+)", svg), *(s["id"] for s in hover)}
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in wanted else "", svg)
    for series in hover:
        svg = svg.replace(
            f'id="{series["id"]}"', f'id="{series["id"]}" class="series" data-series="{series["key"]}"'
        )
    shown = {"axes": _boxes(figure), "series": hover}
    text = json.dumps(shown, separators=(",", ":")).replace("<", "\\u003c")
    return Plot(name, caption, Markup(svg), Markup(text), figure, paper)


def _saved(figure: Figure, kind: str, salt: str) -> bytes:
    """The figure as a file; no date and no random name is in it."""
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": salt}):
        figure.savefig(file, format=kind, metadata=NO_DATES[kind], transparent=True)
    return file.getvalue()


def _name_series(figure: Figure, name: str) -> list[dict[str, Any]]:
    """Gives every line and scatter with a label a name in the SVG, and returns their values."""
    found: list[dict[str, Any]] = []
    labels: dict[str, int] = {}
    for number, axes in enumerate(figure.axes):
        artists: list[Any] = [*axes.lines, *axes.collections]
        for artist in artists:
            label = str(artist.get_label())
            if not label or label.startswith("_"):
                continue
            points = artist.get_xydata() if hasattr(artist, "get_xydata") else artist.get_offsets()
            key = labels.setdefault(label, len(labels))
            artist.set_gid(f"{name}-{len(found)}")
            finite = [[float(x), float(y)] for x, y in points if x == x and y == y]
            x, y = zip(*finite, strict=True) if finite else ((), ())
            made = {"id": f"{name}-{len(found)}", "key": key, "label": label, "axes": number}
            found.append(made | {"x": x, "y": y})
    return found


def _boxes(figure: Figure) -> list[dict[str, Any]]:
    """Where each axes lie in the SVG, in its points from the upper left, and what they measure."""
    width, height = (72 * float(side) for side in figure.get_size_inches())
    boxes = []
    for axes in figure.axes:
        at = axes.get_position()
        box = [at.x0 * width, (1 - at.y1) * height, at.x1 * width, (1 - at.y0) * height]
        boxes.append(
            {
                "box": [round(float(v), 2) for v in box],
                "x": [float(v) for v in axes.get_xlim()],
                "y": [float(v) for v in axes.get_ylim()],
                "log": [axes.get_xscale() == "log", axes.get_yscale() == "log"],
                "names": [axes.get_xlabel(), axes.get_ylabel() or axes.get_title()],
                "percent": "%" in (axes.get_ylabel() or axes.get_title()),
            }
        )
    return boxes
