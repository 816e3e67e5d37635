"""Pages that are a row of sections: `sections.html` shows whatever blocks they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from segtrain.contracts import Colour
from segtrain.reports.embed import Frame
from segtrain.reports.page import page
from segtrain.reports.plot import Plot
from segtrain.reports.tables import PageTable


class SectionPart(NamedTuple):
    """A part of a section.

    Attributes:
        kind: text, markup, table, plot, drawing, images, slider, legend or source.
        value: what it shows, as the functions below make it.
    """

    kind: str
    value: Any


class Section(NamedTuple):
    """A section: its anchor, its title, and what it holds."""

    anchor: str
    title: str
    blocks: Sequence[SectionPart]


def paragraph(*words: str) -> SectionPart:
    """A paragraph."""
    return SectionPart("text", " ".join(words))


def table_part(shown: PageTable) -> SectionPart:
    """A table."""
    return SectionPart("table", shown)


def plotted(plot: Plot, *, wide: bool = False) -> SectionPart:
    """A plot, over the whole width if it is wide."""
    return SectionPart("plot", (plot, wide))


def drawing(name: str, caption: str, svg: Markup) -> SectionPart:
    """An SVG with a caption. name: unique on the page."""
    return SectionPart("drawing", (name, caption, svg))


def image_row(caption: str, shown: Sequence[tuple[str, str]], width: int, height: int) -> SectionPart:
    """Images side by side, each a caption and a data URI."""
    return SectionPart("images", (caption, list(shown), width, height))


def slider(group: str, about: str, shown: Sequence[Sequence[Frame]], width: int, height: int) -> SectionPart:
    """One slider over one or several stacks of frames. group: unique on the page."""
    return SectionPart("slider", (group, about, [list(frames) for frames in shown], width, height))


def legend(names: Sequence[str], palette: Sequence[Colour]) -> SectionPart:
    """The classes' colours."""
    return SectionPart("legend", (names, palette))


def source(path: str, lines: Sequence[str]) -> SectionPart:
    """A file of code whose lines can be linked: `#models/fcn.py-58`."""
    return SectionPart("source", (path, list(lines)))


def sections_page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The HTML of a page of sections.

    Example:
        >>> sections_page("FCN-8s", "Long et al. 2015", [Section("one", "Anatomy", [text("13 stages.")])])
    """
    return page(title, "sections.html", {"lead": lead, "sections": sections})
