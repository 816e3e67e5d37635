"""The field of an image for `mean_field`: its lattices, and the vertices of its pixels."""

import contextlib
import functools
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from segtrain.crf.coordinates import slicing_scale
from segtrain.crf.cpu.arrays import at, put
from segtrain.crf.cpu.compile_cache import compiled
from segtrain.crf.cpu.lattice import NO_COLOURS, Lattice, Memory, lattice
from segtrain.crf.cpu.mean_field import (
    STRIP,
    InPlaceLattices,
    PixelVertices,
    RollingLattice,
    RollingMemory,
    mean_field,
)
from segtrain.crf.cpu.vectors import LANES
from segtrain.crf.potentials import Kernel
from segtrain.errors import InputError

KEPT = 1 << 26  # numbers of 4 bytes: memory above 256 MiB is not kept for the next image
_thread = threading.local()
_free: list[dict[str, np.ndarray]] = []


class Field(NamedTuple):
    """The lattices of an image, and the vertices of its pixels.

    Attributes:
        width: of a row of its labels, see `vectors`.
        whole: the lattices that are blurred as a whole.
        vertices: the vertices of the pixels on those.
        chains, starts: see `mean_field.InPlaceLattices`.
        rolling: the lattice that is blurred just before the pixels that read it.
    """

    width: tuple[int, ...]
    whole: list[Lattice]
    vertices: PixelVertices
    chains: np.ndarray
    starts: np.ndarray
    rolling: RollingLattice

    def run(self, rows: np.ndarray, kernels: Sequence[Kernel], iterations: int) -> None:
        """Makes marginals of probabilities, in place.

        Args:
            rows: float32 N·S.
            kernels: those that the field was made for.
            iterations: of mean field.
        """
        corners = (0,) * self.vertices.offsets.shape[1], (0,) * self.rolling.slots.shape[1]
        ring = _rolling_memory(self.rolling, len(self.width) * LANES)
        mean_field(
            rows, self.vertices, self._memory(kernels), self.rolling, ring, iterations, corners, self.width
        )

    def _memory(self, kernels: Sequence[Kernel]) -> InPlaceLattices:
        size = len(self.width) * LANES
        counts = [made.neighbours.shape[1] - 1 for made in self.whole]
        values, sums = (scratch(name, np.float32, (sum(counts) + 2) * size) for name in ("values", "sums"))
        first = size * np.concatenate([[1], 1 + np.cumsum(counts)])
        given = [(k, kernel.compatibility) for k, kernel in enumerate(kernels)]
        matrices = [(k, matrix) for k, matrix in given if isinstance(matrix, np.ndarray)]
        padded = np.zeros((len(matrices), len(matrices[0][1]) if matrices else 0, size), np.float32)
        for place, (_, matrix) in zip(padded, matrices, strict=True):
            place[:, : len(matrix)] = -matrix
        mixed = np.array([[first[k], first[k + 1]] for k, _ in matrices], np.int64).reshape(-1, 2)
        return InPlaceLattices(values, sums, self.chains, self.starts, padded, mixed)


def make_field(image: np.ndarray, kernels: Sequence[Kernel], width: tuple[int, ...]) -> Field:
    """The field of an image.

    Args:
        image: integers or floats H×W×K.
        kernels: in the `order` below.
        width: of a row of labels, see `vectors`.

    Returns:
        Its lattices; their arrays belong to `kept_memory`.

    Raises:
        InputError: stds so small that a key does not fit into 64 bits, or a row's offset into 31.
    """
    height, across, channels = image.shape
    *others, last = kernels
    if _can_roll(last):
        rolling = _rolling(height, across, last)
    else:
        others, rolling = list(kernels), _no_rolling(height)
    colours = np.array(image.reshape(-1, channels).T, np.float32, order="C")
    whole = [
        lattice(height, across, NO_COLOURS if kernel.spatial else colours, kernel.stds, _scratch_of(i))
        for i, kernel in enumerate(others)
    ]
    size = len(width) * LANES
    numbers = size * sum(made.neighbours.shape[1] for made in whole)
    if numbers >= 1 << 31:
        raise InputError(
            f"dense_crf: lattice vertices times labels must be below 2^31, got {numbers} for an image of"
            f" {height}×{across}",
            do="give a larger sxy or srgb",
        )
    return Field(
        width, whole, _pixel_vertices(whole, others, height * across, size), *_chains(whole, size), rolling
    )


def order(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Sorts kernels for `make_field`.

    Args:
        kernels: in any order.

    Returns:
        Last is the one to blur just before its pixels: the spatial Potts one with most vertices.
    """
    spatial = [kernel for kernel in kernels if _can_roll(kernel)]
    finest = min(spatial, key=lambda k: k.stds[0] * k.stds[1], default=None)
    return sorted(kernels, key=lambda kernel: kernel is finest)


def _can_roll(kernel: Kernel) -> bool:
    return kernel.spatial and kernel.potts


@functools.lru_cache(maxsize=4)
def _rolling(height: int, across: int, kernel: Kernel) -> RollingLattice:
    """Images of one size share it."""
    made = lattice(height, across, NO_COLOURS, kernel.stds)
    count = made.neighbours.shape[1]
    ring = made.neighbours - np.arange(count, dtype=np.int32)[:, None]
    span = int(np.abs(ring, where=made.neighbours > 0, out=np.zeros_like(ring)).max())
    by_row = made.vertices.reshape(height, -1)
    last = np.maximum.accumulate(by_row.max(1)).astype(np.int64)
    window = int((last - by_row.min(1)).max()) + 1
    mask = (1 << (window + 2 * span + STRIP).bit_length()) - 1
    neighbours = made.neighbours
    neighbours[1:] = np.where(neighbours[1:] > 0, 1 + (neighbours[1:] & mask), 0)
    slots = 1 + (made.vertices & mask)
    return RollingLattice(
        PixelVertices(made.vertices, *_weights(made, kernel)), slots, neighbours, span, last, mask
    )


def _no_rolling(height: int) -> RollingLattice:
    nothing, weights = np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32)
    vertices = PixelVertices(nothing, weights, weights)
    return RollingLattice(vertices, nothing, np.zeros((3, 0, 2), np.int32), 0, np.zeros(height, np.int64), 0)


def _pixel_vertices(whole: list[Lattice], kernels: Sequence[Kernel], pixels: int, size: int) -> PixelVertices:
    """The pixels on lattices whose rows stand one after the other; takes the lattices' own memory."""
    first, offsets, splat, sliced = 1, [], [], []
    for made, kernel in zip(whole, kernels, strict=True):
        place = np.multiply(made.vertices, size, out=made.vertices)
        offsets.append(np.add(place, (first - 1) * size, out=place))
        before, after = _weights(made, kernel)
        splat.append(before)
        sliced.append(after)
        first += made.neighbours.shape[1] - 1
    if not whole:
        nothing = np.zeros((pixels, 0), np.float32)
        return PixelVertices(nothing.astype(np.int32), nothing, nothing)
    if len(whole) == 1:
        return PixelVertices(offsets[0], splat[0], sliced[0])
    return PixelVertices(*(np.concatenate(parts, 1) for parts in (offsets, splat, sliced)))


def _weights(made: Lattice, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """What pixels are spread and read with, float32 N×corners; takes the lattice's own memory."""
    before, after = _factors(made, kernel)
    sliced = made.weights if after is before else made.weights * after[:, None]
    return np.multiply(made.weights, before[:, None], out=made.weights), sliced


def _factors(made: Lattice, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """What a pixel's barycentric weights are multiplied by for splatting and for slicing, float32 N."""
    potts = kernel.compatibility
    weight = slicing_scale(len(kernel.stds)) * (1 if isinstance(potts, np.ndarray) else potts)
    root, ones = np.float32(np.sqrt(abs(weight))), made.ones + np.float32(1e-20)
    both = root / (np.sqrt(ones) if kernel.normalization == "symmetric" else ones)
    neither = np.full_like(ones, root)
    before = both if kernel.normalization in ("symmetric", "before") else neither
    after = both if kernel.normalization in ("symmetric", "after") else neither
    return before, after if weight > 0 else -after


def _chains(whole: list[Lattice], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Of all axes of all lattices, see `mean_field.InPlaceLattices`."""
    most = sum(3 * made.neighbours.size // 4 for made in whole)  # a 0 for two vertices
    chains, starts, first = scratch("chains", np.int32, most + 1), [0], 0
    for made in whole:
        for neighbours in made.neighbours:
            starts.append(_write_chains(neighbours, size, first * size, chains, starts[-1]))
        first += made.neighbours.shape[1] - 1
    return chains, np.array(starts)


def _rolling_memory(rolling: RollingLattice, size: int) -> RollingMemory:
    counts = {
        "rolling sums": rolling.neighbours.shape[1],
        "ring": rolling.mask + 2,
        "other ring": rolling.mask + 2,
    }
    return RollingMemory(*(scratch(name, np.float32, count * size) for name, count in counts.items()))


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Within it `scratch` has memory that the image before left, of whichever thread."""
    outer = getattr(_thread, "memory", None)
    _thread.memory = _free.pop() if _free else {}
    try:
        yield
    finally:
        _free.append(_thread.memory)
        _thread.memory = outer


def scratch(name: str, dtype: type, count: int) -> np.ndarray:
    """Memory that begins at a multiple of 64 bytes; kept, as the system takes long to hand it out.

    Args:
        name: the same name has the same memory.
        dtype: of 4 or 8 bytes.
        count: of its numbers; they are not cleared.

    Returns:
        An array of that many numbers.
    """
    memory = _thread.memory
    if name not in memory or len(memory[name]) < count + 16:
        memory[name] = np.empty(count + count // 8 + 16, dtype)
    whole = memory[name] if count <= KEPT else memory.pop(name)
    start = (-whole.ctypes.data % 64) // whole.itemsize
    return whole[start : start + count]


def _scratch_of(part: int) -> Memory:
    return lambda name, dtype, count: scratch(f"{name} {part}", dtype, count)


@compiled
def _write_chains(neighbours, step, start, chains, end):
    """Writes an axis's chains from number `end` on, and gives the new end.

    Vertex i stands at `start` + i·`step`.
    """
    for first in range(1, neighbours.shape[0]):
        vertex = at(neighbours, 2 * first)
        if vertex and not at(neighbours, 2 * first + 1):
            put(chains, end, first * step + start)
            end += 1
            while vertex:
                put(chains, end, vertex * step + start)
                end += 1
                vertex = at(neighbours, 2 * vertex)
            put(chains, end, 0)
            end += 1
    return end
