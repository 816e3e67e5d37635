"""What is known of each layer of a network, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from segtrain.anatomy.receptive_field import ReceptiveField
from segtrain.layers.grid import Grid

FLOAT32 = 4  # bytes


@dataclass
class Layer:
    """One call of a layer.

    Attributes:
        name: of the module or of the parameters' owner: `backbone.block1.0`.
        kind: convolution, pooling, ... in words.
        out_channels, rows, columns: of its output.
        kernel, stride, padding, dilation, groups, in_channels: of convolutions and poolings; else 0 or 1.
        parameters: that are its own, and that no earlier layer has.
        multiply_adds: of one image.
        receptive: the receptive fields of its output's rows; None where they cannot be said.
        source: file below segtrain and line where it is called.
        inputs: the numbers of the layers that it takes from.
        after: what follows at once: `BatchNorm`, `ReLU`.
    """

    name: str
    kind: str
    out_channels: int
    rows: int
    columns: int
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    in_channels: int = 0
    parameters: int = 0
    multiply_adds: int = 0
    receptive: ReceptiveField | None = None
    source: tuple[str, int] | None = None
    inputs: tuple[int, ...] = ()
    after: list[str] = field(default_factory=list)

    @property
    def memory(self) -> int:
        """Bytes of its output for one image, in float32."""
        return self.out_channels * self.rows * self.columns * FLOAT32


@dataclass(frozen=True)
class Anatomy:
    """A network as a list of layers.

    Attributes:
        size: height and width of the image.
        layers: in the order of their calls.
        unused: parameters by name of the module that owns them, which prediction does not use (auxiliary
            heads, which training alone has).
        output: the number of the layer that gave the logits. cells: their rows and columns.
        receptive: the receptive fields of their rows; None where they cannot be said.
        lists: names of the modules that are lists of others.
    """

    size: tuple[int, int]
    layers: Sequence[Layer]
    unused: dict[str, int]
    output: int
    cells: tuple[int, int]
    receptive: ReceptiveField | None
    lists: frozenset[str] = frozenset()

    @property
    def parameters(self) -> int:
        """Of the whole network, each once."""
        return sum(layer.parameters for layer in self.layers) + sum(self.unused.values())

    @property
    def multiply_adds(self) -> int:
        """Of one image, by convolutions and matrix products."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def memory(self) -> int:
        """Bytes of all layers' outputs for one image, in float32."""
        return sum(layer.memory for layer in self.layers)

    @property
    def grid(self) -> Grid | None:
        """Where the logits' cells lie by their receptive fields; None where borders cut all of them."""
        return self.receptive.grid(self.size[0]) if self.receptive is not None else None
