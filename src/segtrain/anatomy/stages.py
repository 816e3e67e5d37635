"""A network's layers as a diagram's boxes: a stage each, and what flows between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from segtrain.anatomy.layer import Anatomy, Layer

OUTER = ("backbone", "network", "net")  # whose parts are the stages


@dataclass
class DiagramBox:
    """A box.

    Attributes:
        name: of its module: `block1`, `down.0`.
        layers: numbers of its layers, in order.
        rows, columns: of its maps, before it pools.
        channels: of its widest maps.
    """

    name: str
    layers: list[int] = field(default_factory=list)
    rows: int = 0
    columns: int = 0
    channels: int = 0
    parameters: int = 0
    multiply_adds: int = 0
    dilations: tuple[int, ...] = ()
    receptive: int = 0
    everywhere: bool = False
    summary: str = ""


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows.

    Attributes:
        stages: in the order of the computation.
        flows: from stage to stage, by number; what skips others, skips in the image too.
        indices: those of the skips that carry no map but where a pooling's maxima were, for an unpooling.
        passes: how often the network is applied (DeepLab v2 sees the image at three scales); the stages are
            those of the first.
    """

    stages: list[DiagramBox]
    flows: list[tuple[int, int]]
    indices: list[tuple[int, int]]
    passes: int

    @property
    def skips(self) -> list[tuple[int, int]]:
        """The flows that leave stages out."""
        return [(a, b) for a, b in self.flows if b - a > 1]


def diagram(anatomy: Anatomy) -> Diagram:
    """The stages of a network.

    Example:
        >>> [stage.name for stage in diagram(take_apart(network, (224, 224))).stages]
        ['block1', 'block2', 'block3', 'block4', 'block5', 'fc6', 'fc7', 'score32', 'upscore']
    """
    stages: list[DiagramBox] = []
    place: dict[int, int] = {}
    waiting: list[int] = []
    seen: Counter = Counter()
    for number, layer in enumerate(anatomy.layers):
        if layer.kernel and layer.parameters + seen[layer.name] > 0 and "convolution" in layer.kind:
            seen[layer.name] += 1
        if seen and max(seen.values()) > 1:
            break
        key = stage_name(layer.name, anatomy.lists)
        owns = layer.parameters > 0 or "convolution" in layer.kind
        if not owns and (layer.name in anatomy.lists or not stages):
            waiting.append(number)  # it begins what comes next
            continue
        if not stages or (owns and key and key != stages[-1].name):
            stages.append(DiagramBox(key or layer.kind))
        for one in [*waiting, number]:
            stages[-1].layers.append(one)
            place[one] = len(stages) - 1
        waiting = []
    for stage in stages:
        _summarise(stage, [anatomy.layers[i] for i in stage.layers])
    carried: dict[tuple[int, int], set[int]] = {}
    maps = set()
    for number in place:
        for one in anatomy.layers[number].inputs:
            flow = place.get(one, place[number]), place[number]
            if flow[0] != flow[1]:
                carried.setdefault(flow, set()).add(anatomy.layers[one].rows)
                if anatomy.layers[number].kind != "unpooling":
                    maps.add(flow)
    flows = sorted({*carried, *_streams(stages, carried)})
    indices = sorted((a, b) for a, b in {*carried} - maps if b - a > 1)
    return Diagram(stages, flows, indices, max(_passes(anatomy.layers), 1))


def stage_name(name: str, lists: Sequence[str] | frozenset[str]) -> str:
    """The part of a network that a layer belongs to: `backbone.block1.0` gives `block1`, `down.0.3` gives
    `down.0` where `down` is a list of modules."""
    parts = name.split(".")
    outer = []
    while len(parts) > 1 and parts[0] in OUTER:
        outer.append(parts.pop(0))
    if len(parts) > 1 and ".".join([*outer, parts[0]]) in lists:
        return ".".join(parts[:2])
    return "" if parts[0] in OUTER else parts[0]


def _streams(stages: Sequence[DiagramBox], carried: dict[tuple[int, int], set[int]]) -> list[tuple[int, int]]:
    """What runs by smaller stages at its own size, each of which adds to it, as FRRN's residual stream: from
    the stage before them to the stage after."""

    def runs_by(m: int) -> bool:
        through = carried.get((m - 1, m), set()) & carried.get((m, m + 1), set())
        return any(rows >= 2 * stages[m].rows for rows in through)

    found: list[tuple[int, int]] = []
    for m in filter(runs_by, range(len(stages))):
        start = found.pop()[0] if found and found[-1][1] == m else m - 1
        found.append((start, m + 1))
    return found


def _passes(layers: Sequence[Layer]) -> int:
    calls = Counter(layer.name for layer in layers if "convolution" in layer.kind and layer.kernel)
    return min(calls.values(), default=1)


def _summarise(stage: DiagramBox, layers: list[Layer]) -> None:
    """Fills in a stage's numbers by its layers'."""
    weighted = [layer for layer in layers if layer.kernel and "pooling" not in layer.kind] or layers
    stage.rows, stage.columns = weighted[-1].rows, weighted[-1].columns
    wide = [layer for layer in layers if layer.kind == "concatenation" and layer.rows == stage.rows]
    stage.channels = max(layer.out_channels for layer in [*weighted, *wide])
    stage.parameters = sum(layer.parameters for layer in layers)
    stage.multiply_adds = sum(layer.multiply_adds for layer in layers)
    stage.dilations = tuple(sorted({layer.dilation for layer in layers if layer.dilation > 1}))
    receptive = weighted[-1].receptive
    if receptive is not None:
        stage.receptive, stage.everywhere = receptive.size(), receptive.everywhere
    counts = Counter(_short(layer) for layer in layers if _short(layer))
    stage.summary = ", ".join(f"{n} × {what}" if n > 1 else what for what, n in counts.items())


def _short(layer: Layer) -> str:
    """A layer in a few words: `3×3`, `max pooling`."""
    if "convolution" in layer.kind:
        what = layer.kind.removesuffix("convolution").strip()
        dilated = f" dilation {layer.dilation}" if layer.dilation > 1 else ""
        return f"{what} {layer.kernel}×{layer.kernel}{dilated}".strip()
    return "" if layer.kind.endswith("Norm") else layer.kind
