"""What torch's functions make of receptive fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from segtrain.anatomy.calls import FLAT, POOLINGS, Call, Note
from segtrain.anatomy.receptive_field import ReceptiveField

# Of their input they take nothing.
FRESH = ("new_zeros", "new_empty", "new_full", "zeros_like", "empty_like", "ones_like")
Constants = Mapping[int, Tensor]
Moved = tuple[ReceptiveField | None, int, tuple[int, int] | None]


def moved(call: Call, out: Tensor, main: Note, notes: Sequence[Note], constants: Constants) -> Moved:
    """The receptive fields of a call's output, the axis of its rows, and cells that lie in one axis.

    Args:
        out: the first output.
        main: the note of the argument that the call is about.
        notes: of the arguments that come from the image.
        constants: numbers of arguments that do not, by their position among the tensors.
    """
    known = main.receptive is not None
    rule = RULES.get(call.name)
    if rule is not None:
        result = rule(call, out, main, constants)
        if result is not None:
            return result
    if out.ndim == 4 and not known:
        return ReceptiveField.empty(out.shape[2], everywhere=True), 2, None
    axis = main.axis
    if known and axis == FLAT:
        return (main.receptive, FLAT, main.cells) if out.ndim == 3 else (None, FLAT, None)
    joined = _joined(notes, out, axis)
    return joined, (axis if joined is not None else 2), None


def _joined(notes: Sequence[Note], out: Tensor, axis: int) -> ReceptiveField | None:
    """The fields of all operands, where they keep their rows."""
    fields = [note.receptive for note in notes if note.receptive is not None and note.axis == axis]
    fits = axis < out.ndim and all(len(field) in (1, out.shape[axis]) for field in fields)
    if not fits or not fields:
        return None
    result = fields[0]
    for field in fields[1:]:
        result = result.joined(field)
    return result if len(result) == out.shape[axis] else result.at([0] * out.shape[axis])


def _convolution(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    if main.receptive is None:
        return None
    kernel, stride, padding, dilation = call.window()
    field = main.receptive.window(
        kernel, stride=stride, padding=padding, dilation=dilation, rows=out.shape[2]
    )
    return field, 2, None


def _transposed(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    if main.receptive is None:
        return None
    kernel, stride, padding, dilation = call.window()
    field = main.receptive.spread(
        kernel, stride=stride, padding=padding, dilation=dilation, rows=out.shape[2]
    )
    return field, 2, None


def _shares(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    same = main.receptive is not None and len(main.receptive) == out.shape[2]
    return (
        (main.receptive, 2, None) if same else (ReceptiveField.empty(out.shape[2], everywhere=True), 2, None)
    )


def _mean(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    if main.axis < out.ndim and main.receptive is not None and out.shape[main.axis] == len(main.receptive):
        return None
    return (ReceptiveField.empty(out.shape[2], everywhere=True) if out.ndim == 4 else None), 2, None


def _interpolated(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    if main.receptive is None:
        return None
    mode, align = call.argument(3, "mode", "nearest"), bool(call.argument(4, "align_corners", False))
    return main.receptive.resized(out.shape[2], linear=mode != "nearest", align_corners=align), 2, None


def _padded(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    amounts = call.argument(1, "pad", ())
    if main.receptive is None or main.axis != 2 or len(amounts) < 4:
        return None
    index, mode = np.arange(out.shape[2]) - amounts[2], call.argument(2, "mode", "constant")
    last = len(main.receptive) - 1
    if mode == "reflect":
        index = last - np.abs(np.abs(index) - last)
    elif mode == "replicate":
        index = index.clip(0, last)
    return main.receptive.at(index), 2, None


def _cropped(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if (
        main.receptive is None
        or main.axis == FLAT
        or any(not isinstance(i, slice) for i in index if i is not ...)
    ):
        return None
    if ... in index:
        at = index.index(...)
        missing = main.tensor.ndim - (len(index) - 1)
        index = (*index[:at], *[slice(None)] * missing, *index[at + 1 :])
    rows = index[main.axis] if len(index) > main.axis else slice(None)
    return main.receptive.at(range(len(main.receptive))[rows]), main.axis, None


def _selected(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    dim = call.argument(1, "dim", 0) % main.tensor.ndim
    if main.receptive is None or dim != main.axis:
        return None
    if 1 not in constants:
        return ReceptiveField.empty(out.shape[dim], everywhere=True), dim, None
    return main.receptive.at(constants[1].numpy()), dim, None


def _permuted(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    if main.receptive is None or main.axis == FLAT:
        return main.receptive, main.axis, main.cells
    order = list(range(main.tensor.ndim))
    if call.name == "permute":
        given = call.args[1] if isinstance(call.args[1], Sequence) else call.args[1:]
        order = [d % main.tensor.ndim for d in given]
    else:
        a, b = (d % main.tensor.ndim for d in call.args[1:3])
        order[a], order[b] = order[b], order[a]
    return main.receptive, order.index(main.axis), None


def _multiplied(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    """Rows are mixed by a matrix on the left; one on the right mixes columns."""
    if main.receptive is None or main.axis == FLAT:
        return None
    left = constants.get(0)
    if left is not None and left.ndim == 2 and main.axis == out.ndim - 2:
        return main.receptive.mixed(left.numpy()), main.axis, None
    return None


def _flattened(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    if main.tensor.ndim == 4 and main.axis == 2 and call.argument(1, "start_dim", 0) == 2:
        return main.receptive, FLAT, (main.tensor.shape[2], main.tensor.shape[3])
    return None, 2, None


def _unflattened(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    """Of cells in one axis: what `unpool` made of them has twice their rows."""
    if main.axis != FLAT or main.receptive is None or out.ndim != 4:
        return None
    if main.cells == tuple(out.shape[2:]):
        return main.receptive, 2, None
    factor = -(-out.shape[2] // len(main.receptive))
    return main.receptive.at([row // factor for row in range(out.shape[2])]), 2, None


def _scattered(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    return main.receptive, FLAT, main.cells


def _stacked(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    return (main.receptive, main.axis + 1, None) if call.argument(1, "dim", 0) == 0 else None


def _reduced(call: Call, out: Tensor, main: Note, constants: Constants) -> Moved | None:
    lower = call.argument(1, "dim", None) == 0 and out.ndim == main.tensor.ndim - 1
    return (main.receptive, main.axis - 1, None) if lower else None


RULES: dict[str, Callable[[Call, Tensor, Note, Constants], Moved | None]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    **dict.fromkeys(POOLINGS, _convolution),
    "adaptive_avg_pool2d": _shares,
    "adaptive_max_pool2d": _shares,
    "mean": _mean,
    "interpolate": _interpolated,
    "pad": _padded,
    "__getitem__": _cropped,
    "index_select": _selected,
    "permute": _permuted,
    "transpose": _permuted,
    **dict.fromkeys(("matmul", "__matmul__", "__rmatmul__"), _multiplied),
    "flatten": _flattened,
    "unflatten": _unflattened,
    "scatter": _scattered,
    "stack": _stacked,
    "amax": _reduced,
}
