"""What a logit sees: the effective receptive field, sampling grids of dilations, branches, separable sums."""

from __future__ import annotations

import re

import numpy as np
from torch import nn

from segtrain.anatomy.effective import effective_field, effective_size
from segtrain.anatomy.layer import Anatomy, Layer
from segtrain.commands.explain.anatomy_sections import LARGE, Subject
from segtrain.reports.fields import (
    field_drawing,
    nested_fields,
    path_density,
    pyramid_bins,
    sampling_grids,
)
from segtrain.reports.sections import Section, SectionPart, drawing, paragraph, table_part
from segtrain.reports.tables import Cell, PageTable

RATES = (1, 6, 12, 18)
PAIRS = ((3, 16), (256, 256), (304, 256), (2048, 256))  # channels of 3×3 convolutions
BRANCH = re.compile(r"(aspp\.views|image_pooling|pyramid\.levels|fc6\.|score\.scores)")


def effective_section(
    subject: Subject, network: nn.Module, images: list, shown: np.ndarray, how: str
) -> Section:
    """The effective receptive field over an image.

    Args:
        network: in eval mode, with weights. images: of the effective field, 1×C×H×W each.
        shown: the image below it, uint8 H×W×3. how: with which weights, in words.
    """
    field = effective_field(network, images)
    size = effective_size(field)
    squares = [("effective, 95 % of the gradient", size)]
    if subject.full_size:
        squares.append(("theoretical", subject.full_size))
    mean = f", averaged over {len(images)} images" if len(images) > 1 else ""
    caption = (
        f"How much each pixel changes the logits in the middle: the gradient's absolute value{mean},"
        f" from nothing (dark) to its largest (bright), by its square root. {how}"
    )
    blocks: list[SectionPart] = [drawing("effective", caption, field_drawing(shown, field, squares))]
    return Section("field", "Receptive field", blocks)


def dilation_sections(subject: Subject) -> list[Section]:
    """For networks with dilation: where the taps lie, and what a larger rate changes."""
    dilated = [layer for layer in subject.anatomy.layers if layer.dilation > 1 and layer.kernel == 3]
    if not dilated:
        return []
    stride = stride_at(subject.anatomy, dilated[0])
    own = {layer.dilation for layer in dilated}
    rates = sorted({*RATES, *(rate for rate in own if rate <= 24)})
    blocks: list[SectionPart] = [
        drawing(
            "taps",
            f"A 3×3 convolution on cells of stride {stride}: nine weights, further apart.",
            sampling_grids(rates, stride),
        ),
        table_part(_rates(rates, dilated[-1])),
    ]
    context = [
        layer for layer in subject.anatomy.layers if ".context" in f".{layer.name}" and layer.kernel == 3
    ]
    if context:
        dilations = [layer.dilation for layer in context]
        svg, side = path_density(dilations)
        caption = (
            f"The context module, dilation {', '.join(map(str, dilations))}: how many paths lead from each of"
            f" {side}×{side} cells to the middle one. Growing dilation leaves no cell out."
        )
        blocks.append(drawing("paths", caption, svg))
    return [Section("dilation", "Dilation", blocks)]


def stride_at(anatomy: Anatomy, layer: Layer) -> int:
    """Pixels from one cell of an encoder's layer to the next: the strides on its way, multiplied."""
    number, stride = anatomy.layers.index(layer), 1
    while True:
        stride *= max(anatomy.layers[number].stride, 1)
        before = [one for one in anatomy.layers[number].inputs if one < number]
        if not before:
            return stride
        number = before[0]


def _rates(rates: list[int], layer: Layer) -> PageTable:
    cells = layer.rows
    rows = []
    for rate in rates:
        inside = max(cells - 2 * rate, 0) / cells
        side = 2 * rate + 1
        weights = 9 * layer.in_channels * layer.out_channels
        row = [
            Cell(str(rate), rate),
            Cell(f"{side}×{side}", side),
            Cell(f"{weights:,}", weights),
            Cell(f"{100 * inside**2:.0f}", inside**2),
        ]
        rows.append(row)
    caption = (
        f"On {layer.name}'s {cells}×{cells} cells. With a large rate most positions have taps in the padding:"
        f" at the extreme a 3×3 convolution is a 1×1 one (DeepLab v3, section 3.3)."
    )
    columns = ["dilation", "cells that it spans", "weights", "positions with all nine taps inside, %"]
    return PageTable("rates", caption, columns, [True] * 4, rows)


def branch_sections(subject: Subject) -> list[Section]:
    """The branches of ASPP and of pyramid pooling, each with its field and its costs."""
    found = [(a, b) for a, b in subject.pairs if BRANCH.search(a.name) and a.kernel]
    names = list(dict.fromkeys(a.name for a, _ in found))
    found = [next(pair for pair in found if pair[0].name == name) for name in names]
    if len(found) < 3:
        return []
    rows: list[list[Cell]] = []
    squares: list[tuple[str, int]] = []
    for layer, large in found:
        size = large.receptive.full_size(LARGE[0]) if large.receptive else None
        kernel = f"{layer.kernel}×{layer.kernel}"
        what = f"{kernel} dilation {layer.dilation}" if layer.dilation > 1 else kernel
        pooled = bool(large.receptive and large.receptive.everywhere and size is None)
        rows.append(
            [
                Cell(layer.name),
                Cell(f"{what} on {layer.rows}×{layer.columns}" if pooled else what),
                Cell("the whole image" if pooled else str(size or f"over {LARGE[0] - 1}"), size),
                Cell(f"{layer.parameters:,}", layer.parameters),
                Cell(f"{layer.multiply_adds:,}", layer.multiply_adds),
            ]
        )
        if size and size not in {side for _, side in squares}:
            squares.append((f"{layer.name}, {what}", size))
    columns = ["branch", "convolution", "receptive field", "parameters", "multiply-adds"]
    caption = "Branches side by side, whose outputs are summed or concatenated."
    blocks: list[SectionPart] = [
        table_part(PageTable("branches", caption, columns, [False, False, True, True, True], rows))
    ]
    if len(squares) > 1:
        svg = nested_fields(squares[:6], subject.anatomy.size[0])
        blocks.append(drawing("branch-fields", "What each branch sees around one pixel.", svg))
    kinds = (re.fullmatch(r"pooling to (\d+)×\1", layer.kind) for layer in subject.anatomy.layers)
    bins = [int(kind[1]) for kind in kinds if kind]
    if len(bins) > 1:
        words = "Each level of the pyramid pools the features to so many bins, and brings them back."
        blocks.append(drawing("bins", words, pyramid_bins(bins)))
    return [Section("branches-side-by-side", "Branches", blocks)]


def separable_sections(subject: Subject) -> list[Section]:
    """For networks that can be depthwise-separable: what it saves."""
    depthwise = [layer for layer in subject.anatomy.layers if layer.kind.startswith("depthwise")]
    if not depthwise and not subject.name.startswith("deeplabv3plus"):
        return []
    rows = []
    for before, after in PAIRS:
        plain, apart = 9 * before * after, 9 * before + before * after
        rows.append(
            [
                Cell(f"{before} → {after}"),
                Cell(f"{plain:,}", plain),
                Cell(f"{apart:,}", apart),
                Cell(f"{100 * apart / plain:.1f}", apart / plain),
            ]
        )
    columns = ["channels", "3×3 convolution", "depthwise-separable", "share, %"]
    caption = "Weights: k²·a·b at once, or k²·a for each channel alone and a·b across them."
    own = paragraph(f"This network has {len(depthwise)} depthwise convolutions.")
    weights = PageTable("separable", caption, columns, [False, True, True, True], rows)
    return [Section("separable-convolution", "Depthwise-separable convolution", [table_part(weights), own])]
