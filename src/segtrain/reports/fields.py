"""Receptive fields and sampling grids as drawings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from segtrain.reports.embed import photo_uri, png_uri
from segtrain.viz.curves import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

SIDE = 340  # pixels of a drawn image
CELL = 5  # pixels of a cell in a sampling grid
COLOURS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY)
GAMMA = 0.5  # of the gradient in viridis: its tails are seen


def heat_uri(field: np.ndarray) -> str:
    """A field from 0 to 1, H×W, by its square root, in viridis."""
    import matplotlib

    return png_uri((255 * matplotlib.colormaps["viridis"](field**GAMMA)[..., :3]).astype(np.uint8))


def signed_uri(values: np.ndarray) -> str:
    """Values H×W from blue, below zero, over white to red, above it."""
    import matplotlib

    largest = max(float(np.abs(values).max()), np.finfo(np.float32).tiny)
    scaled = values / largest / 2 + 0.5
    return png_uri((255 * matplotlib.colormaps["RdBu_r"](scaled)[..., :3]).astype(np.uint8))


def field_drawing(image: np.ndarray, field: np.ndarray, squares: Sequence[tuple[str, int]]) -> Markup:
    """An image and the effective receptive field of its middle, each with squares around the middle.

    Args:
        image: uint8 H×W×3.
        field: float H×W, from 0 to 1.
        squares: names and sides in pixels; what is larger than the image is cut.
    """
    height, width = field.shape
    scale = SIDE / max(height, width)
    w, h = width * scale, height * scale
    panels = [photo_uri(image, longest=SIDE), heat_uri(field)]
    parts = []
    for i, uri in enumerate(panels):
        left = i * (w + 16)
        parts.append(f'<image href="{uri}" x="{left:.1f}" y="0" width="{w:.1f}" height="{h:.1f}"/>')
        for number, (_, side) in enumerate(squares):
            parts.append(_square(left + w / 2, h / 2, min(side * scale, w), min(side * scale, h), number))
        parts.append(f'<circle cx="{left + w / 2:.1f}" cy="{h / 2:.1f}" r="2.5" fill="{VERMILION}"/>')
    for number, (name, side) in enumerate(squares):
        y = h + 18 + 16 * number
        parts.append(
            f'<rect x="1" y="{y - 9:.1f}" width="12" height="10" fill="none" stroke="{COLOURS[number]}"'
            f' stroke-width="2"/><text x="20" y="{y:.1f}">{escape(name)}: {side} pixels</text>'
        )
    return _svg(2 * w + 16, h + 12 + 16 * len(squares), parts, "an image and a receptive field in it")


def nested_fields(branches: Sequence[tuple[str, int]], image_side: int) -> Markup:
    """The receptive fields of branches around one pixel, as squares on an image's.

    Args:
        branches: names and sides in pixels.
        image_side: of the image, drawn as a grey square.
    """
    largest = max(image_side, *(side for _, side in branches))
    scale = SIDE / largest
    middle = SIDE / 2
    box = image_side * scale
    parts = [
        f'<rect x="{middle - box / 2:.1f}" y="{middle - box / 2:.1f}" width="{box:.1f}" height="{box:.1f}"'
        ' fill="currentColor" fill-opacity=".12"/>'
    ]
    parts += [_square(middle, middle, side * scale, side * scale, i) for i, (_, side) in enumerate(branches)]
    parts.append(f'<circle cx="{middle}" cy="{middle}" r="2.5" fill="currentColor"/>')
    rows = [*branches, (f"the image, {image_side} pixels", 0)]
    for i, (name, side) in enumerate(rows):
        y = 16 + 17 * i
        colour = COLOURS[i % len(COLOURS)]
        mark = (
            f'fill="none" stroke="{colour}" stroke-width="2"'
            if side
            else 'fill="currentColor" fill-opacity=".2"'
        )
        words = f"{name}: {side} pixels" if side else name
        parts.append(
            f'<rect x="{SIDE + 20}" y="{y - 9}" width="12" height="10" {mark}/>'
            f'<text x="{SIDE + 38}" y="{y}">{escape(words)}</text>'
        )
    return _svg(SIDE + 330, SIDE, parts, "receptive fields of the branches")


def sampling_grids(rates: Sequence[int], stride: int) -> Markup:
    """Where the nine taps of a 3×3 convolution lie, for each dilation.

    Args:
        rates: the dilations. stride: pixels from cell to cell.
    """
    cells = 2 * max(rates) + 3
    side, parts = cells * CELL, []
    for i, rate in enumerate(rates):
        left = i * (side + 24)
        lines = "".join(
            f"M{left + j * CELL} 0V{side}M{left} {j * CELL}H{left + side}" for j in range(cells + 1)
        )
        parts.append(f'<path d="{lines}" stroke="currentColor" stroke-opacity=".13" fill="none"/>')
        first, extent = (cells // 2 - rate) * CELL, (2 * rate + 1) * CELL
        parts.append(
            f'<rect x="{left + first}" y="{first}" width="{extent}" height="{extent}" fill="{SKY}"'
            f' fill-opacity=".18" stroke="{BLUE}" stroke-width="1"/>'
        )
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                x, y = left + (cells // 2 + dx * rate) * CELL, (cells // 2 + dy * rate) * CELL
                parts.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{VERMILION}"/>')
        wide = 2 * rate + 1
        parts.append(
            f'<text x="{left}" y="{side + 16}" font-weight="700">dilation {rate}</text>'
            f'<text x="{left}" y="{side + 31}">{wide}×{wide} cells, {(wide - 1) * stride + 1} pixels</text>'
        )
    return _svg(len(rates) * (side + 24), side + 38, parts, "taps of dilated convolutions")


def path_density(dilations: Sequence[int]) -> tuple[Markup, int]:
    """How many paths lead from each cell to the middle of the output of 3×3 convolutions in a row.

    Returns:
        The drawing, white for the most, and the side of the receptive field in cells.
    """
    side = 1 + 2 * sum(dilations)
    count = np.zeros(side)
    count[side // 2] = 1
    for dilation in dilations:
        count = count + np.roll(count, dilation) + np.roll(count, -dilation)
    paths = np.outer(count, count)
    shown = paths / paths.max()
    uri = heat_uri(shown.astype(np.float32))
    image = f'<image href="{uri}" width="{SIDE}" height="{SIDE}" style="image-rendering: pixelated"/>'
    return _svg(SIDE, SIDE, [image], f"paths in a field of {side}×{side} cells"), side


def pyramid_bins(bins: Sequence[int]) -> Markup:
    """The levels of a pyramid pooling: the image in b×b bins."""
    side, parts = 120, []
    for i, count in enumerate(bins):
        left, step = i * (side + 24), side / count
        parts.append(
            f'<rect x="{left}" y="0" width="{side}" height="{side}" fill="{COLOURS[i % len(COLOURS)]}"'
            f' fill-opacity=".35" stroke="currentColor"/>'
        )
        lines = "".join(
            f"M{left + j * step:.1f} 0V{side}M{left} {j * step:.1f}H{left + side}" for j in range(1, count)
        )
        parts.append(f'<path d="{lines}" stroke="currentColor" fill="none"/>')
        parts.append(f'<text x="{left}" y="{side + 16}">{count}×{count}</text>')
    return _svg(len(bins) * (side + 24), side + 22, parts, "bins of the pyramid pooling")


def _square(x: float, y: float, width: float, height: float, number: int) -> str:
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2"/>'
    )


def _svg(width: float, height: float, parts: Sequence[str], about: str) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img"'
        f' aria-label="{about}">{"".join(parts)}</svg>'
    )
