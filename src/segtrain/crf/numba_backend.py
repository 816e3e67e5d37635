"""The dense CRF on the CPU, compiled by numba: pydensecrf's marginals, many times as fast.

The compiled functions give up Python's lock: several threads can work on a picture each.
"""

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from segtrain.crf import vectors as v
from segtrain.crf.compiled import CACHE, compiled
from segtrain.crf.coordinates import slicing_scale
from segtrain.crf.lattice import NO_COLOURS, Lattice, lattice
from segtrain.crf.mean_field import STRIP, Layer, Pixels, Store, mean_field
from segtrain.crf.potentials import Kernel, without_labels
from segtrain.crf.vectors import LANES, at, put

SMALLEST_PROBABILITY = np.float32(1e-5)  # as in pydensecrf's unary_from_softmax
TILE = 64  # pixels that are turned from columns into rows at a time
SETTLED = 1  # iterations, after which it shows which labels win nowhere
KEPT = 1 << 26  # numbers of 4 bytes: memory above 256 MiB is not kept for the next picture
float32 = np.float32
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


def marginals(
    image: np.ndarray,
    probabilities: np.ndarray,
    kernels: Sequence[Kernel],
    iterations: int,
    drop_below: float = 0.0,
) -> np.ndarray:
    """float32 C×H×W, of an image H×W×K and float32 probabilities C×H×W; at least one kernel.

    Args:
        drop_below: labels whose marginals after the first iteration nowhere reach this share of the
            largest take no part in the others.
    """
    rows, kept, width = _infer(image, probabilities, kernels, iterations, drop_below)
    result = np.zeros(probabilities.shape, np.float32)
    _read_rows(rows, result.reshape(len(result), -1), kept, len(width) * LANES)
    return result


def labels(image, probabilities, kernels: Sequence[Kernel], iterations: int, drop_below=0.0) -> np.ndarray:
    """The most probable labels, int32 H×W; the first of several."""
    rows, kept, width = _infer(image, probabilities, kernels, iterations, drop_below)
    result = np.empty(probabilities.shape[1:], np.int32)
    _read_labels(rows, result.reshape(-1), kept, width)
    return result


def _infer(image, probabilities, kernels, iterations, drop_below):
    """Rows of marginals, the labels that they are of, and how wide they are."""
    count, height, across = probabilities.shape
    kernels, ahead = _order(kernels)
    _prepare(count, kernels, image.shape[2])
    field = _field(image, kernels, ahead)
    kept, rows = np.arange(count), _scratch("rows", np.float32, height * across * _size(count))
    _fill_rows(probabilities.reshape(count, -1), rows, _size(count))
    if not (drop_below and iterations > SETTLED and count > LANES):
        return field.run(rows, rows, rows, kernels, iterations, _width(count)), kept, _width(count)
    now = _scratch("marginals", np.float32, len(rows))
    field.run(rows, rows, now, kernels, SETTLED, _width(count))
    reaching = np.flatnonzero(_shares(now, _width(count))[:count] >= drop_below)
    if _size(len(reaching)) < _size(count):
        kept, kernels = reaching, without_labels(kernels, reaching)
        _prepare(len(kept), kernels, image.shape[2])
        rows, now = (_narrow(each, kept, _size(count), _size(len(kept))) for each in (rows, now))
    width = _width(len(kept))
    return field.run(rows, now, rows, kernels, iterations - SETTLED, width), kept, width


def _prepare(count: int, kernels: Sequence[Kernel], channels: int) -> None:
    """Compiles what is needed for that many labels."""

    def compile_all():
        few = np.full((count, 4, 4), 1 / count, np.float32)
        rows = _scratch("rows", np.float32, 16 * _size(count))
        _fill_rows(few.reshape(count, -1), rows, _size(count))
        field = _field(np.zeros((4, 4, channels), np.float32), *_order(kernels))
        field.run(rows, rows, rows, kernels, 1, _width(count))
        kept = np.flatnonzero(_shares(rows, _width(count))[:count] > 0)
        _read_rows(rows, few.reshape(count, -1), kept, _size(count))
        _read_labels(rows, np.empty(16, np.int32), kept, _width(count))
        _narrow(rows, kept, _size(count), _size(count))

    def elsewhere():  # a thread has its own memory, and this one's is in use
        with ThreadPoolExecutor(1) as pool:
            pool.submit(compile_all).result()

    kinds = sorted((len(kernel.deviations), kernel.potts) for kernel in kernels)
    what = f"the dense CRF for up to {_size(count)} labels"
    CACHE.prepare(f"{len(_width(count))} parts, kernels {kinds}", elsewhere, what)


def _width(count: int) -> tuple[int, ...]:
    """A row of that many labels, see `vectors`."""
    return (0,) * _parts(count)


def _size(count: int) -> int:
    return _parts(count) * LANES


def _parts(count: int) -> int:
    """How many vectors hold that many labels; each answer is compiled, so larger ones are few."""
    parts = -(-count // LANES)
    step = 1 if parts <= 4 else 4 if parts <= 16 else 16
    return -(-parts // step) * step


class _Field(NamedTuple):
    """The lattices of a picture, with the list of vertices and weights of every pixel over all of them.

    Attributes:
        band: of the last lattice, where that is blurred just ahead of the pixels.
        corners: of a pixel, see `mean_field`.
    """

    lattices: list[Lattice]
    band: Band | None
    vertices: np.ndarray
    splat: np.ndarray
    slice: np.ndarray
    last_vertex: np.ndarray
    corners: tuple[tuple[int, ...], tuple[int, ...]]

    def run(self, rows, start, result, kernels: Sequence[Kernel], iterations: int, width) -> np.ndarray:
        """`result`, with the marginals after so many iterations from `start`; rows N·S."""
        pixels = Pixels(rows, start, result, self.vertices, self.splat, self.slice)
        layers = _layers(self.lattices, kernels, self.band, len(width) * LANES)
        mean_field(pixels, layers, self.last_vertex, iterations, self.corners, width)
        return result


def _field(image: np.ndarray, kernels: Sequence[Kernel], ahead: bool) -> _Field:
    height, across, channels = image.shape
    band = _band(height, across, kernels[-1].deviations) if ahead else None
    colours = np.array(image.reshape(-1, channels).T, np.float32, order="C")
    lattices = [
        band.lattice if band and i == len(kernels) - 1 else _lattice(height, across, colours, kernel)
        for i, kernel in enumerate(kernels)
    ]
    last_vertex = band.last_vertex if band else np.zeros(height, np.int64)
    return _Field(lattices, band, *_weigh(lattices, kernels), last_vertex, _corners(kernels, ahead))


def _order(kernels: Sequence[Kernel]) -> tuple[list[Kernel], bool]:
    """The kernels, last the one to blur ahead of the pixels: of the spatial ones that with most vertices."""
    spatial = [k for k in kernels if k.spatial and k.potts]
    if not spatial:
        return list(kernels), False
    finest = min(spatial, key=lambda k: k.deviations[0] * k.deviations[1])
    return [k for k in kernels if k is not finest] + [finest], True


def _corners(kernels: list[Kernel], ahead: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    counts = [len(kernel.deviations) + 1 for kernel in kernels]
    return (0,) * sum(counts[:-1] if ahead else counts), (0,) * (counts[-1] if ahead else 0)


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


def _weigh(lattices: list[Lattice], kernels: Sequence[Kernel]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, and weights for splatting and for slicing, of every pixel over all lattices."""
    corners = sum(made.vertices.shape[1] for made in lattices)
    count = len(lattices[0].vertices)
    vertices = _scratch("vertices", np.int32, count * corners).reshape(count, corners)
    splat = _scratch("splat", np.float32, count * corners).reshape(count, corners)
    alike = all(k.normalization == "symmetric" and (not k.potts or k.compatibility > 0) for k in kernels)
    sliced = splat if alike else _scratch("slice", np.float32, count * corners).reshape(count, corners)
    first, column = 0, 0
    for made, kernel in zip(lattices, kernels, strict=True):
        before, after = _factors(made, kernel)
        _place(made, first, column, before, after, vertices, splat, sliced)
        first += made.neighbours.shape[1]
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


def _layers(lattices, kernels, band: Band | None, size: int) -> tuple[Layer, ...]:
    """The lattices with their memory: whole ones in one array, the one blurred ahead in rings."""
    counts = [made.neighbours.shape[1] for made in lattices]
    sums = _scratch("sums", np.float32, sum(counts) * size)
    whole = sum(counts[:-1]) if band else sum(counts)
    values, other = (_scratch(name, np.float32, whole * size) for name in ("values", "other"))
    if band:
        ring = 1 << (band.window + 2 * band.reach + STRIP).bit_length()
        rings = [_scratch(name, np.float32, (ring + 1) * size) for name in ("ring", "other ring")]
    layers, first = [], 0
    for i, (made, kernel) in enumerate(zip(lattices, kernels, strict=True)):
        matrix = np.zeros((0 if kernel.potts else len(kernel.compatibility), size), np.float32)
        if not kernel.potts:
            matrix[:, : len(matrix)] = -kernel.compatibility
        if band and i == len(lattices) - 1:
            stores = [Store(rows, 1, ring - 1, 0) for rows in rings]
            reach = band.reach
        else:
            stores = [Store(rows, first, -1, first) for rows in (values, other)]
            reach = counts[i]
        layers.append(Layer(made.neighbours, reach, Store(sums, first, -1, first), *stores, matrix))
        first += counts[i]
    return tuple(layers)


def _scratch(name: str, dtype: type, count: int) -> np.ndarray:
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
def _fill_rows(columns, rows, size):
    """C×N to N×S, nothing below the smallest probability."""
    count, pixels = columns.shape
    rows[:] = 0
    for start in range(0, pixels, TILE):
        for label in range(count):
            for n in range(start, min(start + TILE, pixels)):
                put(rows, n * size + label, max(columns[label, n], SMALLEST_PROBABILITY))


@compiled
def _shares(rows, width):
    """The largest share that each label has, anywhere, of the largest marginal; float32 S."""
    shares, size = v.zeros(width), v.lanes(width)
    for n in range(rows.size // size):
        row = v.load(rows, n, width)
        shares = v.larger(shares, v.scale(row, float32(1) / v.largest_where(row, row)))
    result = np.empty(size, float32)
    v.store(result, 0, shares)
    return result


@compiled
def _narrow(rows, kept, size, fewer):
    """Rows of those labels alone, at the beginning of the same memory: each moves towards it."""
    pixels = rows.size // size
    for n in range(pixels):
        for i in range(fewer):
            put(rows, n * fewer + i, at(rows, n * size + at(kept, i)) if i < kept.size else float32(0))
    return rows[: pixels * fewer]


@compiled
def _read_rows(rows, columns, kept, size):
    """N×S to C×N."""
    pixels = columns.shape[1]
    for start in range(0, pixels, TILE):
        for i in range(kept.size):
            column = columns[kept[i]]
            for n in range(start, min(start + TILE, pixels)):
                column[n] = at(rows, n * size + i)


@compiled
def _read_labels(rows, labels, kept, width):
    for n in range(labels.size):
        labels[n] = kept[v.first_largest(v.load(rows, n, width))]
