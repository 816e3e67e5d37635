"""A network as boxes: width by channels, height by resolution, skips as arcs above, dilation in colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from segtrain.viz.curves import BLUE, GREEN, ORANGE, PURPLE, SKY

TALLEST, SHORTEST = 150, 12
GAP, TOP = 26, 30
SLANT, LETTER = 52, 6.4  # degrees of the names, and the width of one of their letters
COLOURS = {
    "encoder": (BLUE, "convolutions"),
    "dilated": (ORANGE, "with dilation"),
    "decoder": (GREEN, "larger again"),
    "scores": (PURPLE, "scores of the classes"),
    "crf": (SKY, "dense CRF"),
}
ARCS = {"skips": "4 2", "pooling indices": "1.5 3"}  # each with its dashes


class DrawnBox(NamedTuple):
    """A stage as it is drawn.

    Attributes:
        name, summary: of it. kind: one of COLOURS.
        channels, rows: that give its width and height.
        note: below it, such as its dilation.
    """

    name: str
    summary: str
    kind: str
    channels: int
    rows: int
    note: str = ""


def draw_diagram(
    boxes: Sequence[DrawnBox],
    flows: Sequence[tuple[int, int]],
    rows: int,
    indices: Sequence[tuple[int, int]] = (),
) -> Markup:
    """The SVG of a network.

    Args:
        boxes: from left to right.
        flows: pairs of numbers of boxes; what does not go to the next one is drawn as an arc.
        rows: of the image.
        indices: those of the flows that carry a pooling's indices alone.

    Returns:
        An SVG that takes the page's colour for its letters.
    """
    lefts, widths, x = [], [], 8.0
    for box in boxes:
        widths.append(_width(box.channels))
        lefts.append(x)
        x += widths[-1] + GAP
    heights = [_height(box.rows, rows) for box in boxes]
    arcs = _levels([(a, b) for a, b in flows if b - a > 1])
    top = TOP + (15 * max(arcs.values()) + 27 if arcs else 0)
    middle = top + TALLEST / 2
    texts = [LETTER * (len(box.name) + 1.1 * len(box.note) + 1) for box in boxes]
    slope = math.radians(SLANT)
    bottom = top + TALLEST + 26 + max(texts) * math.sin(slope) + 28  # the key stands clear of the names
    right = max(a + b / 2 + c * math.cos(slope) for a, b, c in zip(lefts, widths, texts, strict=True))
    carries = {arc: "pooling indices" if arc in indices else "skips" for arc in arcs}
    parts = [_arrow(lefts, widths, a, middle) for a, b in flows if b - a == 1]
    parts += [
        _box(box, left, width, height, middle, top)
        for box, left, width, height in zip(boxes, lefts, widths, heights, strict=True)
    ]
    for (a, b), level in arcs.items():
        start = lefts[a] + widths[a] * 0.7, middle - heights[a] / 2
        end = lefts[b] + widths[b] * 0.3, middle - heights[b] / 2
        title = f"{boxes[a].name} → {boxes[b].name}"
        parts.append(_arc(start, end, top - 20 - 15 * (level + 1), ARCS[carries[a, b]], title))
    shown = {box.kind: None for box in boxes}
    names = [name for name in ARCS if name in carries.values()]
    key, key_width = _key([kind for kind in COLOURS if kind in shown], names, bottom - 6)
    wide = max(x, right + 8, key_width + 8)
    size = f"0 0 {wide:.0f} {bottom:.0f}"
    return Markup(
        f'<svg viewBox="{size}" width="{wide:.0f}" height="{bottom:.0f}" role="img"'
        f' aria-label="the network as {len(boxes)} stages"><defs><marker id="tip-of-arrow" viewBox="0 0 8 8"'
        ' refX="6" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z"'
        f' fill="currentColor"/></marker></defs>{"".join(parts)}{key}</svg>'
    )


def _width(channels: int) -> float:
    return 6 + 5.2 * math.log2(max(channels, 1))


def _height(of: int, rows: int) -> float:
    """By the square root, so that a thirty-second is still seen."""
    return max(SHORTEST, TALLEST * math.sqrt(min(of / rows, 1.15)))


def _levels(skips: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """How high each arc is: short ones low, and none on another."""
    levels: dict[tuple[int, int], int] = {}
    for a, b in sorted(skips, key=lambda pair: (pair[1] - pair[0], pair)):
        taken = {level for (c, d), level in levels.items() if a < d and c < b}
        levels[a, b] = next(level for level in range(len(levels) + 1) if level not in taken)
    return levels


def _box(box: DrawnBox, left: float, width: float, height: float, middle: float, top: float) -> str:
    colour = COLOURS[box.kind][0]
    title = f"{box.name}: {box.summary}; {box.channels} channels, {box.rows} rows"
    below = top + TALLEST + 26
    centre = left + width / 2
    note = f'<tspan font-weight="700"> {escape(box.note)}</tspan>' if box.note else ""
    return (
        f"<g><title>{escape(title)}</title>"
        f'<rect x="{left:.1f}" y="{middle - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"'
        f' fill="{colour}" fill-opacity=".55" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{centre:.1f}" y="{middle - height / 2 - 4:.1f}" text-anchor="middle" font-size="10">'
        f"{box.channels}</text>"
        f'<text x="{centre:.1f}" y="{middle + height / 2 + 11:.1f}" text-anchor="middle" font-size="10"'
        f' fill-opacity=".75">{box.rows}</text>'
        f'<text transform="translate({centre - 2:.1f} {below:.1f}) rotate({SLANT})" font-size="11">'
        f"{escape(box.name)}{note}</text></g>"
    )


def _arrow(lefts: Sequence[float], widths: Sequence[float], i: int, middle: float) -> str:
    start, end = lefts[i] + widths[i] + 3, lefts[i + 1] - 3
    return (
        f'<path d="M{start:.1f} {middle:.1f}H{end:.1f}" stroke="currentColor" stroke-width="1.2"'
        ' marker-end="url(#tip-of-arrow)"/>'
    )


def _arc(start: tuple[float, float], end: tuple[float, float], high: float, dashes: str, title: str) -> str:
    """From the top of a box to that of another, `high` above both."""
    path = (
        f"M{start[0]:.1f} {start[1] - 15:.1f}V{high + 6:.1f}q0 -6 6 -6H{end[0] - 6:.1f}q6 0 6 6"
        f"V{end[1] - 16:.1f}"
    )
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.2" stroke-dasharray="{dashes}"'
        f' marker-end="url(#tip-of-arrow)"><title>{escape(title)}</title></path>'
    )


def _key(kinds: Sequence[str], arcs: Sequence[str], y: float) -> tuple[str, float]:
    """The legend, and where it ends."""
    parts, x = [], 8
    for kind in kinds:
        colour, words = COLOURS[kind]
        parts.append(
            f'<rect x="{x}" y="{y - 9:.0f}" width="10" height="10" fill="{colour}" fill-opacity=".55"'
            f' stroke="{colour}"/><text x="{x + 15}" y="{y:.0f}">{words}</text>'
        )
        x += 26 + 7 * len(words)
    for name in arcs:
        parts.append(
            f'<path d="M{x} {y - 4:.0f}h22" fill="none" stroke="currentColor"'
            f' stroke-dasharray="{ARCS[name]}"/>'
            f'<text x="{x + 28}" y="{y:.0f}">{name}</text>'
        )
        x += 41 + 7 * len(name)
    last = "above: channels; below: rows of cells"
    parts.append(f'<text x="{x}" y="{y:.0f}" fill-opacity=".75">{last}</text>')
    return "".join(parts), x + LETTER * len(last)
