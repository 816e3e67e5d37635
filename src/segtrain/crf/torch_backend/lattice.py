"""The permutohedral lattice in torch's operations: for the GPU, over several images, and with gradients.

The same vertices as in `lattice`, found by sorting instead of hashing, and in the order of their keys.
The images of a batch share one lattice whose keys begin with the image.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.crf.coordinates import Keys, feature_scale, key_layout, slicing_scale
from segtrain.errors import InputError


class TorchLattice(NamedTuple):
    """The vertices around each of P pixels in d dimensions, and each of M-1 vertices' neighbours.

    Attributes:
        vertices: int64 P×(d+1), from 1.
        weights: float32 P×(d+1).
        pixels: int64, P·(d+1) or more, the pixels of each vertex, one vertex after the other.
        pixel_weights: float32, their weights; some are 0.
        starts: int64 M, where a vertex's pixels begin; vertex 0 has none.
        neighbours: int64 (d+1)×2×M; 0 is none.
    """

    vertices: Tensor
    weights: Tensor
    pixels: Tensor
    pixel_weights: Tensor
    starts: Tensor
    neighbours: Tensor


class LatticeFilter(torch.autograd.Function):
    """A Gaussian filter, not normalised, of values P×C. Its gradient is the same filter again,
    but for the order of the axes."""

    @staticmethod
    def forward(ctx, values: Tensor, lattice: TorchLattice) -> Tensor:
        ctx.lattice = lattice
        return _filter(values, lattice, reverse=False)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return _filter(gradient.contiguous(), ctx.lattice, reverse=True), None


def _filter(values: Tensor, lattice: TorchLattice, *, reverse: bool) -> Tensor:
    weights = lattice.pixel_weights.to(values.dtype)
    now = F.embedding_bag(lattice.pixels, values, lattice.starts, mode="sum", per_sample_weights=weights)
    for one, two in lattice.neighbours.flip(0) if reverse else lattice.neighbours:
        now = now + 0.5 * (now[one] + now[two])
    weights = lattice.weights.to(values.dtype)
    sliced = F.embedding_bag(lattice.vertices, now, mode="sum", per_sample_weights=weights)
    return sliced * slicing_scale(len(lattice.neighbours) - 1)


@functools.lru_cache(maxsize=64)
def constant(numbers: float | tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A few numbers on a device, sent once: for each copy to a GPU the host waits until its work is done.

    Args:
        numbers: one, or a row of them.
        dtype: of the tensor.
        device: where it is wanted.
    """
    with torch.inference_mode(False):  # a training may use it after an evaluation
        return torch.tensor(numbers, dtype=dtype, device=device)


@torch.no_grad()
def torch_lattice(features: Tensor, ends: np.ndarray | None = None) -> TorchLattice:
    """One lattice for the pixels of several images, made where the features are.

    One number is read from the device, how many vertices there are; a GPU works on meanwhile.

    Args:
        features: float32 B×N×d, of B images with N pixels each.
        ends: float d×2, between which each feature lies, with 0; they are read from the device if not
            given, or if keys between them take too many bits.

    Returns:
        The lattice of P = B·N pixels; no vertex belongs to two images.

    Raises:
        InputError: stds so small that the vertices' keys do not fit into 64 bits.
    """
    batch, count, dimensions = features.shape
    if count % 4:  # as in `lattice`: pydensecrf fills up its last four pixels
        features = F.pad(features, (0, 0, 0, 1))
    layout = _layout(features, ends)
    keys, weights = _simplices(features, layout)
    keys += torch.arange(batch, device=keys.device)[:, None, None] << int(layout.shifts[-1])
    weights[:, count:] = 0  # the pixel that fills up makes vertices, and nothing else
    ordered, order = keys.flatten().sort(stable=True)
    numbers = F.pad(ordered[1:] != ordered[:-1], (1, 0), value=True).cumsum(0)  # from 1
    vertices = int(numbers[-1])  # the one number that is read
    found = ordered.new_empty(vertices).scatter_(0, numbers - 1, ordered)
    each = torch.arange(vertices + 1, device=keys.device)
    image, pixel = order // keys[0].numel(), order % keys[0].numel() // (dimensions + 1)
    return TorchLattice(
        vertices=torch.empty_like(numbers).scatter_(0, order, numbers).view_as(keys)[:, :count].flatten(0, 1),
        weights=weights[:, :count].flatten(0, 1),
        pixels=image * count + pixel.clamp(max=count - 1),
        pixel_weights=weights.flatten()[order],
        starts=torch.searchsorted(numbers, each.clamp(min=1)),
        neighbours=torch.stack([_neighbours(found, each, step) for step in _steps(layout)]),
    )


def _steps(layout: Keys) -> list[int]:
    """What a key grows by from a vertex to its neighbour, on each of the d+1 axes."""
    corners = len(layout.shifts)
    return [(corners << int(shift)) - layout.ones for shift in layout.shifts[:-1]] + [-layout.ones]


def _neighbours(found: Tensor, each: Tensor, step: int) -> Tensor:
    """For vertex 0 and those found, the vertices one step further and one step back, or 0: int64 2×M."""
    place = torch.searchsorted(found, found + step).clamp(max=len(found) - 1)
    further = F.pad(torch.where(found[place] == found + step, place + 1, 0), (1, 0))
    back = torch.zeros_like(further).scatter_(0, further, each)
    back[:1] = 0  # where those without a neighbour wrote
    return torch.stack([further, back])


def _layout(features: Tensor, ends: np.ndarray | None) -> Keys:
    """Where the coordinates stand in a key."""
    scale, more = feature_scale(features.shape[2]), int(len(features) - 1).bit_length()
    if ends is not None:
        try:
            return key_layout(ends, scale, more)
        except InputError:
            pass  # the features may lie nearer to each other
    read = torch.stack(torch.aminmax(features.flatten(0, 1), dim=0), 1).cpu().numpy()
    return key_layout(read, scale, more)


def _simplices(features: Tensor, layout: Keys) -> tuple[Tensor, Tensor]:
    """The keys and the weights, B×N×(d+1), of the vertices around each pixel."""
    dimensions = features.shape[2]
    corners = dimensions + 1
    reciprocal = float(np.float32(1) / np.float32(corners))
    scale = constant(tuple(feature_scale(dimensions).tolist()), torch.float32, features.device)

    # Onto the plane whose coordinates sum to 0; then the nearest vertex of remainder 0.
    scaled = features * scale
    total = torch.zeros_like(scaled[..., 0])
    coordinates: list[Tensor] = []
    for i in range(dimensions, 0, -1):
        coordinates.insert(0, total - i * scaled[..., i - 1])
        total = total + scaled[..., i - 1]
    lifted = torch.stack([total, *coordinates], -1)
    cells = (lifted * reciprocal).round()
    base = cells * corners
    distance = lifted - base
    rank = torch.zeros_like(base, dtype=torch.int64)
    for i in range(corners):
        for j in range(i + 1, corners):
            less = distance[..., i] < distance[..., j]
            rank[..., i] += less
            rank[..., j] += ~less
    rank += cells.sum(-1, keepdim=True).long()
    shift = corners * ((rank < 0).long() - (rank >= corners).long())
    rank, base = rank + shift, base + shift

    share = (lifted - base) * reciprocal
    by_rank = torch.empty_like(share).scatter_(-1, rank, share).flip(-1)
    weights = by_rank - by_rank.roll(1, -1)
    weights[..., 0] = by_rank[..., 0] + (1 - by_rank[..., -1])
    # Vertex k: each coordinate one more than in the one before, but for that of rank d+1-k, d less.
    units = constant((*(1 << int(s) for s in layout.shifts[:-1]), 0), torch.int64, features.device)
    steps = layout.ones - corners * torch.empty_like(rank).scatter_(-1, rank, units.expand_as(rank)).flip(-1)
    first = (base.long() * units).sum(-1, keepdim=True) + layout.offset
    keys = first + F.pad(steps[..., :-1].cumsum(-1), (1, 0))
    return keys, weights
