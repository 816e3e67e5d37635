"""Which calls of torch's functions are layers, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from segtrain.anatomy.calls import FLAT, POOLINGS, Call, Note
from segtrain.anatomy.layer import Layer

ACTIVATIONS = {"relu": "ReLU", "relu_": "ReLU", "gelu": "GELU", "silu": "SiLU", "leaky_relu": "leaky ReLU"}
NAMES = POOLINGS | {
    "conv_transpose2d": "transposed convolution",
    "batch_norm": "BatchNorm",
    "layer_norm": "LayerNorm",
    "group_norm": "GroupNorm",
    "local_response_norm": "local response norm",
    "linear": "fully connected",
    "scaled_dot_product_attention": "attention",
}
PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "bmm", "mm")
SUMS = ("add", "add_", "__add__", "__radd__", "__iadd__")


def layer_kind(call: Call, out: Tensor, notes: Sequence[Note], has_parameters: bool) -> str | None:
    """What a call is as a layer; None where it is none: a ReLU, dropout, a view.

    Args:
        out: its first output. notes: of the arguments that come from the image.
        has_parameters: whether it takes any.
    """
    name, main = call.name, notes[0]
    if name == "conv2d":
        depthwise = call.tensors[1].shape[1] == 1 and main.tensor.shape[1] > 1
        return "depthwise convolution" if depthwise else "convolution"
    if name in NAMES:
        return NAMES[name]
    if name in PRODUCTS:
        return "matrix product"
    if name in ("adaptive_avg_pool2d", "adaptive_max_pool2d") or (name == "mean" and out.ndim == 4):
        return f"pooling to {out.shape[2]}×{out.shape[3]}"
    if name == "interpolate":
        return f"upsampling, {call.argument(3, 'mode', 'nearest')}"
    if name == "scatter" and main.axis == FLAT:
        return "unpooling"
    several = len({note.layer for note in notes}) > 1
    if several and name in ("cat", "stack"):
        return "concatenation" if name == "cat" else "maximum"
    if several and name in SUMS:
        return "sum"
    return _border(call, out, main) or (name if has_parameters else None)


def _border(call: Call, out: Tensor, main: Note) -> str | None:
    if call.name == "pad" and out.shape != main.tensor.shape:
        return "padding" if call.argument(2, "mode", "constant") == "constant" else "mirrored border"
    rows = call.name == "index_select" and main.axis == 2 and call.argument(1, "dim", 0) % out.ndim == 2
    return "mirrored border" if rows else None


def describe(layer: Layer, call: Call, notes: Sequence[Note]) -> None:
    """Fills in the numbers of a convolution or a pooling."""
    if call.name in ("conv2d", "conv_transpose2d"):
        layer.kernel, layer.stride, layer.padding, layer.dilation = call.window()
        layer.in_channels, layer.groups = notes[0].tensor.shape[1], call.argument(6, "groups", 1)
    elif call.name in POOLINGS:
        layer.kernel, layer.stride, layer.padding, layer.dilation = call.window()
        layer.in_channels = layer.out_channels
    elif call.name == "linear":
        layer.in_channels = call.tensors[0].shape[-1]


def channels_and_cells(out: Tensor) -> tuple[int, int, int]:
    """Channels, rows and columns of a map N×C×h×w; of tokens N×L×C they lie in one column."""
    if out.ndim == 4:
        return out.shape[1], out.shape[2], out.shape[3]
    if out.ndim == 5:
        return out.shape[2], out.shape[3], out.shape[4]
    return (out.shape[-1], out.shape[-2], 1) if out.ndim >= 2 else (out.numel(), 1, 1)
