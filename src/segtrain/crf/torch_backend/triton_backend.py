"""Mean field of a batch by Triton kernels: what `backend.batch_marginals` computes, in fewer passes.

An iteration of torch's operations writes every intermediate row to memory; here it is a splat, a blur an
axis, and a slice that ends in the softmax. It is compiled for GPUs and its results are tested in Triton's
interpreter, but it was not timed on a GPU yet: `auto` does not take it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.crf.coordinates import slicing_scale
from segtrain.crf.potentials import SMALLEST_PROBABILITY, Kernel
from segtrain.crf.torch_backend import triton_kernels
from segtrain.crf.torch_backend.backend import NormalisedFilter, TorchBackend, batch_marginals
from segtrain.errors import InputError

CHUNK = 32  # pixels that one program spreads: a vertex of a plain region has thousands
BLOCK = 16  # rows of a program


class TritonBackend(TorchBackend):
    """Triton's backend, for a GPU.

    Raises:
        InputError: no GPU.

    Example:
        >>> TritonBackend().labels(image, softmax, read_kernels(gaussian, bilateral, 3, len(softmax)), 10)
    """

    def __init__(self):
        if not torch.cuda.is_available():
            raise InputError(
                "dense_crf.backend=triton must have a GPU, got none", do="give backend=auto, which finds one"
            )

    def infer(
        self, images: Tensor, probabilities: Tensor, kernels: Sequence[Kernel], iterations: int
    ) -> Tensor:
        """See `TorchBackend.infer`."""
        return triton_marginals(images, probabilities, kernels, iterations)


class _Lattice(NamedTuple):
    """A `TorchLattice` as the kernels read it; int32, and weights that contain all factors."""

    vertices: Tensor
    slice: Tensor
    pixels: Tensor
    splat: Tensor
    begins: Tensor
    ends: Tensor
    firsts: Tensor
    neighbours: Tensor
    images: int  # that share it


@torch.inference_mode()
def triton_marginals(
    images: Tensor, probabilities: Tensor, kernels: Sequence[Kernel], iterations: int
) -> Tensor:
    """As `batch_marginals`, which computes what has a matrix of compatibility.

    Args:
        images: uint8 or float N×K×H×W, in 0..255.
        probabilities: float N×C×H×W, a softmax.
        kernels: of `potentials.read_kernels`.
        iterations: of mean field.

    Returns:
        Marginals, float32 N×C×H×W.

    Raises:
        InputError: stds too small for the images.

    Example:
        >>> refined = triton_marginals(images, logits.softmax(1), read_kernels(gaussian, None, 3, 21), 10)
    """
    if not kernels or not all(kernel.potts for kernel in kernels):
        return batch_marginals(images, probabilities, kernels, iterations)
    batch, labels, height, width = probabilities.shape
    size = 1 << (labels - 1).bit_length()
    columns = probabilities.float().clamp(SMALLEST_PROBABILITY, 1).log().permute(0, 2, 3, 1).flatten(0, 2)
    unaries = F.pad(columns, (0, size - labels)).contiguous()
    marginals = F.pad(columns.softmax(1), (0, size - labels)).contiguous()
    lattices = [_prepared(images, kernel) for kernel in kernels]
    for _ in range(iterations):
        messages = [_filtered(marginals, lattice) for lattice in lattices]
        for i, (values, lattice) in enumerate(zip(messages, lattices, strict=True)):
            last = i == len(lattices) - 1
            _slice(marginals if i else unaries, marginals, values, lattice, labels, softmax=last)
    return marginals[:, :labels].reshape(batch, height, width, labels).permute(0, 3, 1, 2).contiguous()


def _prepared(images: Tensor, kernel: Kernel) -> _Lattice:
    made = NormalisedFilter(images, kernel)
    lattice, corners = made.lattice, made.lattice.vertices.shape[1]
    weight = float(np.float32(kernel.compatibility)) * slicing_scale(corners - 1)
    entries, vertices = len(lattice.pixels), len(lattice.starts)
    starts = F.pad(lattice.starts, (0, 1), value=entries)
    firsts = F.pad((starts.diff() + CHUNK - 1).div(CHUNK, rounding_mode="floor").cumsum(0), (1, 0))
    chunk = torch.arange(vertices + entries // CHUNK, device=images.device)  # as many as there may be
    vertex = (torch.searchsorted(firsts, chunk, right=True) - 1).clamp(max=vertices - 1)
    begins = starts[vertex] + (chunk - firsts[vertex]) * CHUNK
    return _Lattice(
        lattice.vertices.int().contiguous(),
        (lattice.weights * made.after * weight).contiguous(),
        lattice.pixels.int(),
        lattice.pixel_weights * made.before[lattice.pixels, 0],
        begins.int(),
        torch.minimum(begins + CHUNK, starts[vertex + 1]).int(),
        firsts.int(),
        lattice.neighbours.int(),
        made.batch,
    )


def _filtered(marginals: Tensor, lattice: _Lattice) -> Tensor:
    """Splat and blur: rows of the vertices, image after image."""
    size, chunks, vertices = marginals.shape[1], len(lattice.begins), lattice.neighbours.shape[2]
    parts = marginals.new_empty(lattice.images * chunks, size)
    values, other = marginals.new_empty(2, lattice.images * vertices, size)
    pixels = len(marginals) // lattice.images if lattice.images > 1 else 0
    triton_kernels.splat_chunks[chunks, lattice.images](
        marginals, parts, lattice.pixels, lattice.splat, lattice.begins, lattice.ends, pixels, size, CHUNK
    )
    triton_kernels.sum_chunks[vertices, lattice.images](parts, values, lattice.firsts, chunks, size)
    for further, back in lattice.neighbours:
        triton_kernels.blur[-(-vertices // BLOCK), lattice.images](
            values, other, further, back, vertices, size, BLOCK
        )
        values, other = other, values
    return values


def _slice(
    before: Tensor, after: Tensor, values: Tensor, lattice: _Lattice, labels: int, *, softmax: bool
) -> None:
    total, size = after.shape
    pixels, corners = lattice.vertices.shape
    triton_kernels.slice_lattice[(-(-total // BLOCK),)](
        before, after, values, lattice.vertices, lattice.slice, pixels, total,
        lattice.neighbours.shape[2], labels, corners, size, BLOCK, softmax,
    )  # fmt: skip
