"""The field of a picture for `mean_field`: its lattices, and how its pixels hang on them."""

import functools
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from segtrain.crf.compiled import compiled
from segtrain.crf.coordinates import slicing_scale
from segtrain.crf.lattice import NO_COLOURS, Lattice, lattice
from segtrain.crf.mean_field import STRIP, Ahead, Pixels, Ring, Whole, mean_field
from segtrain.crf.potentials import Kernel
from segtrain.crf.vectors import LANES, at, put

KEPT = 1 << 26  # numbers of 4 bytes: memory above 256 MiB is not kept for the next picture
_memory = threading.local()


class Band(NamedTuple):
    """A lattice of places, and what blurring it just ahead of the pixels needs to know.

    Attributes:
        reach: no vertex has a neighbour further ahead or behind.
        last_vertex: int64 H, the last that the picture's first rows touch.
        window: so many consecutive vertices hold those that a row of pixels touches.
    """

    lattice: Lattice
    reach: int
    last_vertex: np.ndarray
    window: int


class Field(NamedTuple):
    """The lattices of a picture, with the list of vertices and weights of every pixel over all of them.

    Attributes:
        whole: the lattices that are blurred as a whole.
        band: the one that is blurred just ahead of the pixels.
        chains, starts: see `mean_field.Whole`.
    """

    whole: list[Lattice]
    band: Band | None
    chains: np.ndarray
    starts: np.ndarray
    vertices: np.ndarray
    splat: np.ndarray
    slice: np.ndarray

    def run(self, rows, start, result, kernels: Sequence[Kernel], iterations: int, width) -> np.ndarray:
        """`result`, with the marginals after so many iterations from `start`; rows N·S."""
        size, pixels = len(width) * LANES, Pixels(rows, start, result, self.vertices, self.splat, self.slice)
        ahead = _ahead(self.band, size)
        corners = sum(made.vertices.shape[1] for made in self.whole)
        corners = (0,) * corners, (0,) * (self.vertices.shape[1] - corners)
        mean_field(pixels, self._memory(kernels, size), ahead, iterations, corners, width)
        return result

    def _memory(self, kernels: Sequence[Kernel], size: int) -> Whole:
        counts = [made.neighbours.shape[1] - 1 for made in self.whole]
        rows = (sum(counts) + 2) * size
        values, sums = (scratch(name, np.float32, rows) for name in ("values", "sums"))
        first = np.concatenate([[1], 1 + np.cumsum(counts)])
        matrices = [(k, kernel.compatibility) for k, kernel in enumerate(kernels) if not kernel.potts]
        padded = np.zeros((len(matrices), len(matrices[0][1]) if matrices else 0, size), np.float32)
        for place, (_, matrix) in zip(padded, matrices, strict=True):
            place[:, : len(matrix)] = -matrix
        mixed = np.array([[first[k], first[k + 1]] for k, _ in matrices], np.int64).reshape(-1, 2)
        return Whole(values, sums, self.chains, self.starts, padded, mixed)


def make_field(image: np.ndarray, kernels: Sequence[Kernel], ahead: bool) -> Field:
    height, across, channels = image.shape
    band = _band(height, across, kernels[-1].deviations) if ahead else None
    colours = np.array(image.reshape(-1, channels).T, np.float32, order="C")
    whole = [_lattice(height, across, colours, kernel) for kernel in kernels[: len(kernels) - ahead]]
    every = [*whole, band.lattice] if band else whole
    return Field(whole, band, *_chains(whole), *_weigh(every, kernels, ahead))


def order(kernels: Sequence[Kernel]) -> tuple[list[Kernel], bool]:
    """The kernels, last the one to blur ahead of the pixels: of the spatial ones that with most vertices."""
    spatial = [k for k in kernels if k.spatial and k.potts]
    if not spatial:
        return list(kernels), False
    finest = min(spatial, key=lambda k: k.deviations[0] * k.deviations[1])
    return [k for k in kernels if k is not finest] + [finest], True


def _lattice(height: int, across: int, colours: np.ndarray, kernel: Kernel) -> Lattice:
    if kernel.spatial:
        return _band(height, across, kernel.deviations).lattice
    return lattice(height, across, colours, kernel.deviations)


@functools.lru_cache(maxsize=4)
def _band(height: int, across: int, deviations: tuple[float, float]) -> Band:
    """Pictures of one size share it."""
    made = lattice(height, across, NO_COLOURS, deviations)
    ahead = made.neighbours - np.arange(made.neighbours.shape[1], dtype=np.int32)[:, None]
    reach = int(np.abs(ahead, where=made.neighbours > 0, out=np.zeros_like(ahead)).max())
    by_row = made.vertices.reshape(height, -1)
    last = np.maximum.accumulate(by_row.max(1)).astype(np.int64)
    return Band(made, reach, last, int((last - by_row.min(1)).max()) + 1)


def _weigh(lattices: list[Lattice], kernels: Sequence[Kernel], ahead: bool) -> tuple[np.ndarray, ...]:
    """Vertices, and weights for splatting and for slicing, of every pixel over all lattices."""
    corners = sum(made.vertices.shape[1] for made in lattices)
    count = len(lattices[0].vertices)
    vertices = scratch("vertices", np.int32, count * corners).reshape(count, corners)
    splat = scratch("splat", np.float32, count * corners).reshape(count, corners)
    alike = all(k.normalization == "symmetric" and (not k.potts or k.compatibility > 0) for k in kernels)
    sliced = splat if alike else scratch("slice", np.float32, count * corners).reshape(count, corners)
    first, column = 0, 0
    for i, (made, kernel) in enumerate(zip(lattices, kernels, strict=True)):
        before, after = _factors(made, kernel)
        own = ahead and i == len(kernels) - 1  # memory
        _place(made, 0 if own else first, column, before, after, vertices, splat, sliced)
        first += made.neighbours.shape[1] - 1
        column += made.vertices.shape[1]
    return vertices, splat, sliced


def _factors(made: Lattice, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """What a pixel's barycentric weights are multiplied by for splatting and for slicing, float32 N."""
    ones = made.ones + np.float32(1e-20)
    weight = slicing_scale(len(kernel.deviations)) * (kernel.compatibility if kernel.potts else 1)
    root = np.float32(np.sqrt(abs(weight)))
    divisors = {
        "symmetric": (np.sqrt(ones), np.sqrt(ones)),
        "before": (ones, np.ones_like(ones)),
        "after": (np.ones_like(ones), ones),
        "none": (np.ones_like(ones), np.ones_like(ones)),
    }
    before, after = divisors[kernel.normalization]
    return root / before, np.float32(np.sign(weight)) * root / after


def _chains(whole: list[Lattice]) -> tuple[np.ndarray, np.ndarray]:
    """Of all axes of all lattices, see `mean_field.Whole`."""
    most = sum(3 * made.neighbours.size // 4 for made in whole)  # a 0 for two vertices
    chains, starts, first = scratch("chains", np.int32, most + 1), [0], 0
    for made in whole:
        for neighbours in made.neighbours:
            starts.append(_follow(neighbours, first, chains, starts[-1]))
        first += made.neighbours.shape[1] - 1
    return chains, np.array(starts)


def _ahead(band: Band | None, size: int) -> Ahead:
    if band is None:
        nothing = Ring(np.zeros(size, np.float32), 0, 0)
        return Ahead(np.zeros((3, 0, 2), np.int32), 0, nothing, nothing, nothing, np.zeros(1, np.int64))
    neighbours = band.lattice.neighbours
    sums = Ring(scratch("sums ahead", np.float32, neighbours.shape[1] * size), 0, -1)
    ring = 1 << (band.window + 2 * band.reach + STRIP).bit_length()
    values, other = (
        Ring(scratch(name, np.float32, (ring + 1) * size), 1, ring - 1) for name in ("ring", "other ring")
    )
    return Ahead(neighbours, band.reach, sums, values, other, band.last_vertex)


def scratch(name: str, dtype: type, count: int) -> np.ndarray:
    """Memory of this thread, kept from picture to picture: the system takes long to hand it out.

    It begins at a multiple of 64 bytes.
    """
    kept = getattr(_memory, name, None)
    if kept is None or len(kept) < count + 16:
        kept = np.empty(count + count // 8 + 16, dtype)
        setattr(_memory, name, kept if count <= KEPT else None)
    start = (-kept.ctypes.data % 64) // kept.itemsize
    return kept[start : start + count]


@compiled
def _place(made, first, column, before, after, vertices, splat, sliced):
    """Writes a lattice's columns of vertices and weights; its vertices stand in rows from `first`."""
    corners, all_corners = made.vertices.shape[1], vertices.shape[1]
    for n in range(made.vertices.shape[0]):
        for r in range(corners):
            place, weight = n * all_corners + column + r, at(made.weights, n * corners + r)
            put(vertices, place, at(made.vertices, n * corners + r) + first)
            put(sliced, place, weight * at(after, n))
            put(splat, place, weight * at(before, n))


@compiled
def _follow(neighbours, first, chains, end):
    """Writes an axis's chains from place `end`, and gives the new end."""
    for start in range(1, neighbours.shape[0]):
        vertex = at(neighbours, 2 * start)
        if vertex and not at(neighbours, 2 * start + 1):
            put(chains, end, start + first)
            end += 1
            while vertex:
                put(chains, end, vertex + first)
                end += 1
                vertex = at(neighbours, 2 * vertex)
            put(chains, end, 0)
            end += 1
    return end
