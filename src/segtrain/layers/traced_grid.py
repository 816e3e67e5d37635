"""Where the cells of any network's features lie, found by following an image through its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segtrain.layers.grid import Grid

aten = torch.ops.aten
SUMS = (aten.add, aten.add_)
POOLINGS = (aten.max_pool2d_with_indices, aten.avg_pool2d)
ENLARGED = (aten.upsample_nearest2d, aten.upsample_bilinear2d)
MIRRORED = (aten.reflection_pad2d, aten.replication_pad2d)


def traced_grids(network: Callable[[Tensor], Sequence[Tensor]], images: Tensor) -> list[Grid]:
    """The grid of each feature map N×C×h×w that `network` gives for `images` N×C×H×W.

    Strided convolutions, poolings and borders move a grid (see grid.py). A sum of two paths lies in the
    middle of them (ResNet-D pools in its shortcuts and strides 3×3 beside it); products and attention keep
    the grid of their first operand, the query. Cells that are merged by reshaping, as in Swin, show in the
    size alone: h cells of H pixels where the layers say more are merged evenly. Features that are enlarged
    to be added to finer ones (HRNet) do not count. Rows do: columns are taken to be like them.
    """
    tracer = _Tracer(images)
    with torch.no_grad(), tracer:
        maps = network(images)
    return [tracer.grid(features, images.shape[-2]) for features in maps]


class _Tracer(TorchDispatchMode):
    """Notes the grid of every tensor that comes from the image."""

    def __init__(self, images: Tensor):
        super().__init__()
        # Tensors are kept, or another would get the number of one that is gone.
        self.noted: dict[int, tuple[Tensor, Grid]] = {id(images): (images, Grid())}

    def grid(self, features: Tensor, height: int) -> Grid:
        grid = self.noted[id(features)][1]
        merged = round(height / features.shape[-2] / grid.stride)
        return grid.conv(merged, merged) if merged > 1 else grid

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        entries = (self.noted.get(id(x)) for x in tree_leaves(args) if isinstance(x, Tensor))
        found = [entry[1] for entry in entries if entry]
        if found:
            grid = _moved(func.overloadpacket, found[0], args)
            if func.overloadpacket in SUMS and len({each.stride for each in found}) == 1:
                grid = Grid(grid.stride, sum(each.offset for each in found) / len(found))
            for result in tree_leaves(out):
                if isinstance(result, Tensor) and (func.overloadpacket not in ENLARGED or grid.stride == 1):
                    self.noted[id(result)] = (result, grid)
        return out


def _moved(operation: Any, grid: Grid, args: tuple) -> Grid:
    """The grid of the output of an operation of aten on a tensor of this grid."""
    if operation is aten.convolution and args[1].dim() == 4 and not args[6]:
        kernel, stride, padding, dilation = args[1].shape[2], args[3][0], args[4][0], args[5][0]
        return grid.conv(dilation * (kernel - 1) + 1, stride, padding)
    if operation in POOLINGS:
        kernel, stride, padding = args[1], args[2] if len(args) > 2 else [], args[3] if len(args) > 3 else [0]
        return grid.conv(kernel[0], (stride or kernel)[0], padding[0])
    if operation in MIRRORED or (operation is aten.constant_pad_nd and len(args[1]) >= 4):
        top = args[1][4] if len(args[1]) >= 6 else args[1][2]  # channels last: theirs come first
        return Grid(grid.stride, grid.offset - grid.stride * top)
    return grid
