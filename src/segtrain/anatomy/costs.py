"""Multiply-adds of torch's functions: of convolutions, matrix products and attention."""

from __future__ import annotations

import math

from torch import Tensor

from segtrain.anatomy.calls import Call


def multiply_adds_of(call: Call, out: Tensor) -> int:
    """The multiply-adds of a call that gave `out`: a multiplication and an addition are one."""
    first = call.tensors[0]
    if call.name in ("conv2d", "conv1d", "conv3d"):
        return out.numel() * math.prod(call.tensors[1].shape[1:])
    if call.name.startswith("conv_transpose"):
        return first.numel() * math.prod(call.tensors[1].shape[1:])
    if call.name in ("linear", "matmul", "__matmul__", "__rmatmul__", "bmm", "mm"):
        return out.numel() * first.shape[-1]
    if call.name == "scaled_dot_product_attention":
        keys, values = call.tensors[1], call.tensors[2]
        return math.prod(first.shape) * keys.shape[-2] + out.numel() * values.shape[-2]
    return 0
