"""Operators that torch's exporter translates to ONNX for the example's size alone, for any size.

Imported where ONNX is written: it needs onnxscript.
"""

import torch
from onnxscript import opset18 as op

FLOAT = 1  # ONNX's number of float32


def remainder(x, divisor):
    """Translates a % b, where b is a size.

    Args:
        x: integers.
        divisor: a number.

    Returns:
        The remainder, of x's type.
    """
    return op.Mod(x, op.CastLike(divisor, x))


def adaptive_mean(x, bins):
    """Translates adaptive average pooling, as two products with matrices of means.

    Args:
        x: N×C×h×w.
        bins: the rows and the columns of the output.

    Returns:
        N×C×rows×columns.
    """
    rows, columns = (_means(op.Shape(x, start=2 + i, end=3 + i), bins[i]) for i in range(2))
    return op.MatMul(op.MatMul(rows, x), op.Transpose(columns, perm=[1, 0]))


def _means(cells, bins):
    """The bins×cells matrix of means: bin b is that of cells ⌊b·cells/bins⌋ to ⌈(b+1)·cells/bins⌉ - 1."""
    zero, one, count = (op.Constant(value_int=number) for number in (0, 1, bins))
    bin_ = op.Unsqueeze(op.Range(zero, count, one), op.Constant(value_ints=[1]))
    cell = op.Range(zero, op.Squeeze(cells), one)
    start = op.Div(op.Mul(bin_, cells), count)
    end = op.Div(op.Sub(op.Add(op.Mul(op.Add(bin_, one), cells), count), one), count)
    inside = op.Cast(op.And(op.GreaterOrEqual(cell, start), op.Less(cell, end)), to=FLOAT)
    return op.Div(inside, op.ReduceSum(inside, op.Constant(value_ints=[1])))


TRANSLATIONS = {
    torch.ops.aten.remainder.Scalar: remainder,
    torch.ops.aten.adaptive_avg_pool2d.default: adaptive_mean,
}
