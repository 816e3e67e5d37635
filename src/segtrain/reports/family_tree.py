"""The papers as a family tree: each right of those that it builds on, with lines from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from segtrain.viz.curves import BLUE

COLUMN, ROW, BOX = 236, 46, 182
TOP = 6


class TreePaper(NamedTuple):
    """A paper in the tree.

    Attributes:
        name: unique; parents: names of others. label: what is shown, with the year.
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
        members: in any order; those of a generation stand below one another, near their parents.
    """
    by_name = {member.name: member for member in members}

    def generation(member: TreePaper) -> int:
        return max((generation(by_name[name]) + 1 for name in member.parents if name in by_name), default=0)

    columns = {member.name: generation(member) for member in members}
    rows: dict[str, float] = {}
    for column in range(max(columns.values()) + 1):
        ones = [member for member in members if columns[member.name] == column]
        ones.sort(key=lambda member: (_wish(member, rows), member.year, member.name))
        taken: list[float] = []
        for member in ones:
            row = max(_wish(member, rows), taken[-1] + 1 if taken else 0)
            rows[member.name] = row
            taken.append(row)
    lines, boxes = [], []
    lefts = {member.name: 6 + COLUMN * columns[member.name] for member in members}
    for member in members:
        x, y = lefts[member.name], TOP + ROW * rows[member.name]
        boxes.append(_member(member, x, y))
        for parent in member.parents:
            if parent not in by_name:
                continue
            x0, y0 = lefts[parent] + BOX, TOP + ROW * rows[parent] + 17
            half = (x - x0) / 2
            path = f"M{x0} {y0:.0f}C{x0 + half:.0f} {y0:.0f} {x - half:.0f} {y + 17:.0f} {x} {y + 17:.0f}"
            lines.append(f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity=".45"/>')
    width, height = COLUMN * (max(columns.values()) + 1), TOP + ROW * (max(rows.values()) + 1)
    return Markup(
        f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img"'
        f' aria-label="family tree of {len(members)} papers">{"".join([*lines, *boxes])}</svg>'
    )


def _wish(member: TreePaper, rows: dict[str, float]) -> float:
    """The row that a paper would like: the middle of its parents'."""
    known = [rows[parent] for parent in member.parents if parent in rows]
    return round(sum(known) / len(known)) if known else 0


def _member(member: TreePaper, x: float, y: float) -> str:
    return (
        f"<g><title>{escape(member.label)}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX}" height="35" rx="4" fill="{BLUE}"'
        f' style="fill: color-mix(in srgb, {BLUE} 18%, var(--paper))"'
        f' stroke="{BLUE}"/><text x="{x + 8}" y="{y + 15}" font-weight="700">{escape(member.label)}'
        f' <tspan font-weight="400">{member.year}</tspan></text>'
        f'<text x="{x + 8}" y="{y + 29}" font-size="9.5" fill-opacity=".8">{escape(member.note)}</text></g>'
    )
