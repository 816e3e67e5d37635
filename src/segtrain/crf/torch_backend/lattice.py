"""The permutohedral lattice in torch's operations: for the GPU, over several images, and with gradients.

The same vertices as in `lattice`, found by sorting instead of hashing, and in the order of their keys.
The images of a batch share one lattice whose keys begin with the image.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.crf.coordinates import Keys, feature_scale, key_layout, slicing_scale


class TorchLattice(NamedTuple):
    """The vertices around each of P pixels in d dimensions, and each of M-1 vertices' neighbours.

    Attributes:
        vertices: int64 P×(d+1), from 1.
        weights: float32 P×(d+1).
        pixels: int64 P·(d+1), the pixels of each vertex, one vertex after the other.
        pixel_weights: float32 P·(d+1), their weights.
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


@torch.no_grad()
def torch_lattice(features: Tensor) -> TorchLattice:
    """One lattice for the pixels of several images.

    Args:
        features: float32 B×N×d, of B images with N pixels each.

    Returns:
        The lattice of P = B·N pixels; no vertex belongs to two images.

    Raises:
        InputError: stds so small that the vertices' keys do not fit into 64 bits.
    """
    batch, count, dimensions = features.shape
    if count % 4:  # as in `lattice`: pydensecrf fills up its last four pixels
        features = F.pad(features, (0, 0, 0, 1))
    layout, keys, weights = _simplices(features)
    image = torch.arange(batch, device=keys.device)[:, None, None] << int(layout.shifts[-1])
    found, numbers = torch.unique(keys + image, return_inverse=True)
    numbers, weights = numbers[:, :count].flatten(0, 1) + 1, weights[:, :count].flatten(0, 1)
    steps = [((dimensions + 1) << int(shift)) - layout.ones for shift in layout.shifts[:-1]] + [-layout.ones]
    neighbours = torch.stack([torch.stack([_find(found, s), _find(found, -s)]) for s in steps])
    order = numbers.flatten().argsort(stable=True)
    sizes = numbers.flatten().bincount(minlength=len(found) + 1)
    return TorchLattice(
        vertices=numbers,
        weights=weights,
        pixels=order // (dimensions + 1),
        pixel_weights=weights.flatten()[order],
        starts=sizes.cumsum(0) - sizes,
        neighbours=neighbours,
    )


def _find(found: Tensor, step: int) -> Tensor:
    """For vertex 0 and those found: the number of the vertex whose key is larger by `step`, or 0."""
    place = torch.searchsorted(found, found + step).clamp(max=len(found) - 1)
    return F.pad(torch.where(found[place] == found + step, place + 1, 0), (1, 0))


def _simplices(features: Tensor) -> tuple[Keys, Tensor, Tensor]:
    """How keys are laid out, and keys and weights, B×N×(d+1), of the vertices around each pixel."""
    batch, _, dimensions = features.shape
    corners = dimensions + 1
    scale = feature_scale(dimensions)
    ends = torch.stack(torch.aminmax(features.flatten(0, 1), dim=0), 1).cpu().numpy()
    layout = key_layout(ends, scale, more_bits=int(batch - 1).bit_length())

    # Onto the plane whose coordinates sum to 0; then the nearest vertex of remainder 0.
    scaled = features * torch.from_numpy(scale).to(features.device)
    total = torch.zeros_like(scaled[..., 0])
    coordinates: list[Tensor] = []
    for i in range(dimensions, 0, -1):
        coordinates.insert(0, total - i * scaled[..., i - 1])
        total = total + scaled[..., i - 1]
    lifted = torch.stack([total, *coordinates], -1)
    cells = (lifted * (1 / torch.tensor(corners, dtype=torch.float32)).item()).round()
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

    share = (lifted - base) * (1 / torch.tensor(corners, dtype=torch.float32)).item()
    by_rank = torch.empty_like(share).scatter_(-1, rank, share).flip(-1)
    weights = by_rank - by_rank.roll(1, -1)
    weights[..., 0] = by_rank[..., 0] + (1 - by_rank[..., -1])
    # Vertex k: each coordinate one more than in the one before, but for that of rank d+1-k, d less.
    units = torch.tensor([1 << int(s) for s in layout.shifts[:-1]] + [0], device=features.device)
    steps = layout.ones - corners * torch.empty_like(rank).scatter_(-1, rank, units.expand_as(rank)).flip(-1)
    first = (base.long() * units).sum(-1, keepdim=True) + layout.offset
    keys = first + F.pad(steps[..., :-1].cumsum(-1), (1, 0))
    return layout, keys, weights
