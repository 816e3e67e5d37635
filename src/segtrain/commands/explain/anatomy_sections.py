"""The anatomy of a network: a diagram, its sums, where its logits lie, and a table of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from segtrain.anatomy.layer import Anatomy, Layer
from segtrain.anatomy.stages import Diagram, DiagramBox, diagram
from segtrain.layers.grid import Grid
from segtrain.reports.diagram import DrawnBox, draw_diagram
from segtrain.reports.sections import Section, SectionPart, drawing, paragraph, source, table_part
from segtrain.reports.tables import Cell, PageTable, text_cells
from segtrain.sizes import stride_of

PACKAGE = Path(__file__).parent.parent.parent
LARGE = (2049, 225)  # rows that cut no receptive field but the very largest
MEGA, GIGA = 10**6, 10**9
WANDERS = 0.25  # pixels: a shift that is worth a word


@dataclass(frozen=True)
class Subject:
    """A network that is explained.

    Attributes:
        name: of the model. anatomy: for the size of an image; large: for an image whose rows cut nothing.
    """

    name: str
    anatomy: Anatomy
    large: Anatomy

    @property
    def pairs(self) -> list[tuple[Layer, Layer]]:
        """Each layer, and the same one for the large image; itself where that has none, as a padding may."""
        waiting: dict[tuple[str, str], list[Layer]] = {}
        for layer in self.large.layers:
            waiting.setdefault((layer.name, layer.kind), []).append(layer)
        found = []
        for layer in self.anatomy.layers:
            same = waiting.get((layer.name, layer.kind))
            found.append((layer, same.pop(0) if same else layer))
        return found

    @property
    def diagram(self) -> Diagram:
        """Its stages."""
        return diagram(self.anatomy)

    @property
    def full_size(self) -> int | None:
        """The receptive field of the logits where nothing cuts it."""
        return self.large.receptive.full_size(LARGE[0]) if self.large.receptive else None

    @property
    def grid(self) -> Grid | None:
        """Where the logits' cells lie by their receptive fields."""
        return self.large.receptive.grid(LARGE[0]) if self.large.receptive else None

    @property
    def stride(self) -> int:
        """Pixels from one cell of the logits to the next, as evaluation takes them."""
        return stride_of(self.anatomy.cells[0], self.anatomy.size[0])

    @property
    def everywhere(self) -> bool:
        """Whether the logits see the whole image, by pooling or attention."""
        return bool(self.anatomy.receptive and self.anatomy.receptive.everywhere)


def anatomy_sections(subject: Subject) -> list[Section]:
    """The network as a diagram, in sums, and layer by layer, with the code that the layers stand in."""
    found = subject.diagram
    boxes = [_drawn(stage, found, i) for i, stage in enumerate(found.stages)]
    svg = draw_diagram(boxes, found.flows, subject.anatomy.size[0], found.indices)
    height, width = subject.anatomy.size
    caption = (
        f"Each box is a stage: its width says the channels (by their logarithm), its height the resolution"
        f" for an image of {height}×{width} (by its square root). Point at a box for its layers."
    )
    if found.passes > 1:
        caption += f" The network is applied {found.passes} times, at as many scales; the first is drawn."
    anatomy = [drawing("diagram", caption, svg), table_part(_sums(subject)), paragraph(alignment(subject))]
    layers: list[SectionPart] = [table_part(_layers(subject)), *_code(subject.anatomy)]
    return [Section("anatomy", "Anatomy", anatomy), Section("layers", "Layers", layers)]


def alignment(subject: Subject) -> str:
    """Where cell 0 of the logits lies, and whether that is where evaluation takes it to lie."""
    grid, stride = subject.grid, subject.stride
    if grid is None:
        return "Where the cells of the logits lie cannot be said by their receptive fields."
    assumed = (
        f"Cell i of the logits stands for pixel {stride}·i." if stride > 1 else "There is a cell a pixel."
    )
    shift = grid.offset
    if abs(shift) < WANDERS:
        return f"{assumed} That is where the receptive fields are centred."
    share = abs(shift) / stride
    cells = " (nearly half a cell)" if 0.4 < share < 0.6 else ""
    where = "right and down" if shift > 0 else "left and up"
    what = "the logits are" if not subject.diagram.skips else "what the deepest path gives them is"
    return (
        f"{assumed} The receptive fields are centred {abs(shift):g} pixels further {where}{cells}: {what}"
        f" shifted against the image by that much, which training makes up for in part."
    )


def _drawn(stage: DiagramBox, found: Diagram, number: int) -> DrawnBox:
    before = found.stages[number - 1].rows if number else stage.rows
    kind = "encoder"
    if stage.dilations:
        kind = "dilated"
    elif "score" in stage.name:
        kind = "scores"
    elif stage.name == "mean_field":
        kind = "crf"
    elif stage.rows > before or stage.name.startswith(("up", "decoder", "merge", "transitions_up", "refine")):
        kind = "decoder"
    note = f"dilation {', '.join(map(str, stage.dilations))}" if stage.dilations else ""
    return DrawnBox(stage.name, stage.summary, kind, stage.channels, stage.rows, note)


def _sums(subject: Subject) -> PageTable:
    anatomy = subject.anatomy
    height, width = anatomy.size
    field = "larger than 2048 pixels" if subject.full_size is None else f"{subject.full_size} pixels"
    if subject.everywhere:
        field = f"the whole image by pooling or attention, and {field} beside" if subject.full_size else "all"
    rows = [
        [Cell("parameters"), Cell(f"{anatomy.parameters:,}", anatomy.parameters)],
        [Cell("multiply-adds"), Cell(f"{anatomy.multiply_adds:,}", anatomy.multiply_adds)],
        [Cell("outputs of all layers, float32"), Cell(f"{anatomy.memory / MEGA:.0f} MB", anatomy.memory)],
        [
            Cell("logits"),
            Cell(f"{anatomy.cells[0]}×{anatomy.cells[1]}, a cell every {_pixels(subject.stride)}"),
        ],
        [Cell("receptive field of a logit"), Cell(field)],
    ]
    if anatomy.unused:
        unused = sum(anatomy.unused.values())
        rows.insert(1, [Cell("of these in training alone"), Cell(f"{unused:,}", unused)])
    caption = f"For one image of {height}×{width}; a multiplication and an addition are one multiply-add."
    return PageTable("sums", caption, ["", "value"], [False, True], rows, unsorted=True)


def _pixels(number: int) -> str:
    return "pixel" if number == 1 else f"{number} pixels"


def _layers(subject: Subject) -> PageTable:
    columns = [
        *("layer", "operation", "kernel", "stride", "padding", "dilation", "channels", "output"),
        *("cell 0 lies on", "parameters", "multiply-adds", "output, MB", "receptive field", "in the code"),
    ]
    numbers = [name not in ("layer", "operation", "in the code") for name in columns]
    rows = [_row(layer, large) for layer, large in subject.pairs]
    for name, parameters in subject.anatomy.unused.items():
        cells = text_cells(name, "in training alone", *[""] * 7)
        rows.append([*cells, Cell(f"{parameters:,}", parameters), *text_cells(*[""] * 4)])
    caption = (
        "Every call in its order. Cell 0 lies on that pixel, by the middle of its receptive field where no"
        " border cuts it; the receptive field is the uncut one. Names are those of the modules."
    )
    return PageTable("layers-table", caption, columns, numbers, rows, unsorted=False)


def _row(layer: Layer, large: Layer) -> list[Cell]:
    field, grid = large.receptive, large.receptive.grid(LARGE[0]) if large.receptive else None
    size = field.full_size(LARGE[0]) if field else None
    shown = "all" if field is None or (field.everywhere and not size) else str(size or f"over {LARGE[0] - 1}")
    windowed = layer.kernel > 0
    return [
        Cell(layer.name or "-"),
        Cell(", ".join([layer.kind, *layer.after])),
        _number(layer.kernel if windowed else None),
        _number(layer.stride if windowed else None),
        _number(layer.padding if windowed else None),
        _number(layer.dilation if windowed else None),
        Cell(f"{layer.in_channels} → {layer.out_channels}" if windowed else str(layer.out_channels)),
        Cell(f"{layer.rows}×{layer.columns}", layer.rows * layer.columns),
        Cell("-" if grid is None else f"{grid.offset:g}", None if grid is None else grid.offset),
        Cell(f"{layer.parameters:,}" if layer.parameters else "-", layer.parameters or None),
        Cell(_short(layer.multiply_adds) if layer.multiply_adds else "-", layer.multiply_adds or None),
        Cell(f"{layer.memory / MEGA:.1f}", layer.memory),
        Cell(shown, size),
        Cell(_link(layer.source)),
    ]


def _number(value: int | None) -> Cell:
    return Cell("-" if value is None else str(value), value)


def _short(number: int) -> str:
    """A number of multiply-adds: `3.70 G`."""
    return f"{number / GIGA:.2f} G" if number >= GIGA / 10 else f"{number / MEGA:.2f} M"


def _link(place: tuple[str, int] | None) -> str:
    if place is None:
        return "-"
    path, line = place
    return Markup(f'<a href="#{escape(path)}-{line}">{escape(path)}:{line}</a>')


def _code(anatomy: Anatomy) -> list[SectionPart]:
    """The files that the layers are called in, so that their lines can be linked."""
    files = sorted({layer.source[0] for layer in anatomy.layers if layer.source})
    shown = [source(path, (PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in files]
    return [paragraph("The code that calls them, below segtrain/:"), *shown]
