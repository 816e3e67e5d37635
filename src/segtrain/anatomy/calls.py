"""A call of a function of torch, as the tracer sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from segtrain.anatomy.receptive_field import ReceptiveField

POOLINGS = {
    "max_pool2d": "max pooling",
    "max_pool2d_with_indices": "max pooling with switches",
    "avg_pool2d": "average pooling",
}
FLAT = -9  # the axis of cells whose rows and columns lie in one


class Note(NamedTuple):
    """What is known of a tensor that comes from the image.

    Attributes:
        tensor: kept, or another would get the number of one that is gone.
        receptive: of its rows, along `axis`; None where the rows are lost.
        layer: that made it; -1 is the image.
        cells: rows and columns, where they lie in one axis.
    """

    tensor: Tensor
    receptive: ReceptiveField | None
    axis: int
    layer: int
    cells: tuple[int, int] | None = None


class Window(NamedTuple):
    """What a convolution or a pooling sees: taps in a row, and how they lie."""

    kernel: int
    stride: int
    padding: int
    dilation: int


class Call(NamedTuple):
    """A call of a function of torch, and the tensors among its arguments."""

    name: str
    args: tuple
    kwargs: dict[str, Any]
    tensors: list[Tensor]

    def argument(self, position: int, name: str, default: Any) -> Any:
        """An argument by its position or its name."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if len(self.args) > position else default

    def window(self) -> Window:
        """The window of a convolution, transposed or not, or of a pooling."""
        if self.name in POOLINGS:
            kernel = row_number(self.argument(1, "kernel_size", 1))
            stride = row_number(self.argument(2, "stride", None) or kernel)
            average = self.name == "avg_pool2d"  # which knows no dilation
            dilation = 1 if average else row_number(self.argument(4, "dilation", 1))
            return Window(kernel, stride, row_number(self.argument(3, "padding", 0)), dilation)
        kernel = self.tensors[1].shape[2]
        dilation = row_number(self.argument(7 if self.name == "conv_transpose2d" else 5, "dilation", 1))
        padding = self.argument(4, "padding", 0)
        if padding == "same":
            padding = dilation * (kernel - 1) // 2
        elif padding == "valid":
            padding = 0
        return Window(kernel, row_number(self.argument(3, "stride", 1)), row_number(padding), dilation)


def row_number(value: Any) -> int:
    """The number of the rows, of one number or of one a side."""
    return int(value[0]) if isinstance(value, Sequence) and value else int(value or 0)
