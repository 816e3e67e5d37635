"""The papers as a family tree: by year from left to right, with lines from what each builds on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from segtrain.viz.curves import BLUE

COLUMN, ROW, BOX = 178, 46, 140
TOP = 26


class TreePaper(NamedTuple):
    """A paper in the tree.

    Attributes:
        name: unique; parents: names of others. label: what is shown. year: its column.
        note: below the label, small.
    """

    name: str
    label: str
    year: int
    parents: Sequence[str]
    note: str = ""


def family_tree(members: Sequence[TreePaper]) -> Markup:
    """The SVG of a tree of papers.

    Args:
        members: in any order; those of a year stand below one another, near their parents.
    """
    years = sorted({member.year for member in members})
    rows: dict[str, float] = {}
    for year in years:
        column = [member for member in members if member.year == year]
        column.sort(key=lambda member: (_wish(member, rows), member.name))
        taken: list[float] = []
        for member in column:
            row = max(_wish(member, rows), taken[-1] + 1 if taken else 0)
            rows[member.name] = row
            taken.append(row)
    lines, boxes = [], []
    lefts = {member.name: 6 + COLUMN * years.index(member.year) for member in members}
    known = {member.name for member in members}
    for member in members:
        x, y = lefts[member.name], TOP + ROW * rows[member.name]
        boxes.append(_member(member, x, y))
        for parent in member.parents:
            if parent not in known:
                continue
            x0, y0 = lefts[parent] + BOX, TOP + ROW * rows[parent] + 17
            if lefts[parent] == x:  # of the same year
                path = f"M{x0} {y0}q14 {(y + 17 - y0) / 2:.0f} 0 {y + 17 - y0:.0f}"
            else:
                half = (x - x0) / 2
                path = f"M{x0} {y0:.0f}C{x0 + half:.0f} {y0:.0f} {x - half:.0f} {y + 17:.0f} {x} {y + 17:.0f}"
            lines.append(f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity=".45"/>')
    heads = [
        f'<text x="{6 + COLUMN * i}" y="14" font-weight="700">{year}</text>' for i, year in enumerate(years)
    ]
    width, height = COLUMN * len(years), TOP + ROW * (max(rows.values()) + 1)
    return Markup(
        f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img"'
        f' aria-label="family tree of {len(members)} papers">{"".join([*heads, *lines, *boxes])}</svg>'
    )


def _wish(member: TreePaper, rows: dict[str, float]) -> float:
    """The row that a paper would like: the middle of its parents'."""
    known = [rows[parent] for parent in member.parents if parent in rows]
    return round(sum(known) / len(known)) if known else 0


def _member(member: TreePaper, x: float, y: float) -> str:
    return (
        f"<g><title>{escape(member.label)}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX}" height="35" rx="4" fill="{BLUE}" fill-opacity=".18"'
        f' stroke="{BLUE}"/><text x="{x + 8}" y="{y + 15}" font-weight="700">{escape(member.label)}</text>'
        f'<text x="{x + 8}" y="{y + 29}" font-size="9.5" fill-opacity=".8">{escape(member.note)}</text></g>'
    )
