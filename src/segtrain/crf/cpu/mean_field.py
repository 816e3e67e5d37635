"""Mean-field inference over lattices: every iteration is one loop over the pixels.

At a pixel, what the iteration before left on the lattices is read (slice), the labels' probabilities
follow from it, and are spread onto the lattices for the next iteration (splat); all of this while the
pixel's labels stay in registers. The marginals of the iterations between exist on the lattices alone.

The rows of the lattices stand one after the other, so that a pixel has one list of offsets and weights,
whatever the kernels are: the weights contain normalisation and compatibility. Between two iterations they
are blurred in place, chain by chain of neighbours: each row is read once. A spatial lattice stands
apart: at a small std it has more vertices than there are pixels; but as both are numbered in raster
order, its neighbours are near. So it is blurred just before the pixels that read it, into a ring of rows
that stays in the processor's cache, and never as a whole.
"""

from typing import NamedTuple

import numpy as np

from segtrain.crf.cpu import vectors as v
from segtrain.crf.cpu.arrays import at
from segtrain.crf.cpu.compile_cache import compiled, inlined

STRIP = 256  # vertices that are blurred at a time
CACHE_BYTES = 1 << 21  # lattices above it are fetched before their use
PREFETCH = 8  # pixels, or rows
SMALLEST, LARGEST = 2.0**-40, 2.0**100  # sums of exponentials in which no label was lost
float32, int64 = np.float32, np.int64


class PixelVertices(NamedTuple):
    """The lattice vertices of the pixels.

    Attributes:
        offsets: int32 N×corners, where rows begin in the memory of `InPlaceLattices`, or the vertices
            of `RollingLattice`.
        splat, slice: float32 N×corners, the weights of spreading and of reading.
    """

    offsets: np.ndarray
    splat: np.ndarray
    slice: np.ndarray


class InPlaceLattices(NamedTuple):
    """The memory of the lattices that are blurred as a whole: the first row is none, the last for waste.

    Attributes:
        values, sums: float32, what is read and what is spread; they are swapped.
        chains: int32, where rows begin that are neighbours along an axis, chain by chain with 0 before
            and after.
        starts: int64, where an axis's chains begin, and their end.
        matrices, mixed: of the lattices that have one, their compatibility, and where their rows begin
            and end.
    """

    values: np.ndarray
    sums: np.ndarray
    chains: np.ndarray
    starts: np.ndarray
    matrices: np.ndarray
    mixed: np.ndarray


class RollingLattice(NamedTuple):
    """The lattice that is blurred just before the pixels that read it: images of one size share it.

    Its rows stand in two rings, vertex i in slot 1 + i & mask; slot 0 is the row of none.

    Attributes:
        vertices: the pixels on its vertices.
        slots: int32 N×corners, of those vertices in the rings.
        neighbours: int32 axes×M×2: vertices along the first axis, slots along the others.
        span: no vertex has a neighbour further before or behind.
        last_vertex: int64 H: the last vertex that the image's rows have touched.
        mask: the rings' slots less 2.
    """

    vertices: PixelVertices
    slots: np.ndarray
    neighbours: np.ndarray
    span: int
    last_vertex: np.ndarray
    mask: int


class RollingMemory(NamedTuple):
    """The memory of the rolling: what is spread, M rows; what is read, and what stands between two axes."""

    sums: np.ndarray
    values: np.ndarray
    other: np.ndarray


@compiled
def mean_field(rows, vertices, whole, rolling, ring, iterations, corners, width):
    """Makes of probabilities the marginals after some iterations, in place.

    Args:
        rows: float32 N·S, each pixel's padded by zeros to S.
        vertices: the pixels on `whole`.
        whole: the memory of the lattices that are blurred as a whole.
        rolling: the lattice that is blurred just before its pixels.
        ring: its memory.
        iterations: 0 or more.
        corners: of a pixel in `whole` and in `rolling`: two tuples of which the lengths count, so that the
            compiler knows them.
        width: how wide a row is, see `vectors`.
    """
    size, height = v.lanes(width), rolling.last_vertex.size
    across = rows.size // size // height
    values, sums = whole.values, whole.sums
    sums[:] = 0
    values[:size] = 0
    for memory in (ring.sums, ring.values, ring.other):
        memory[:] = 0
    progress = np.empty(8, int64)
    for iteration in range(iterations + 1):
        progress[:] = 1
        for y in range(height):
            if len(corners[1]) > 0 and iteration > 0:
                _blur_rolling(rolling, ring, progress, rolling.last_vertex[y], width)
            step = (y * across, (y + 1) * across, iteration == 0, iteration == iterations)
            _iterate_row(rows, vertices, values, sums, rolling, ring, step, corners, width)
        if iteration < iterations:
            values, sums = sums, values
            _blur(values, whole, width)
            sums[:] = 0


@compiled
def _iterate_row(rows, vertices, values, sums, rolling, ring, step, corners, width):
    """One iteration for some pixels: reads the lattices, updates the marginals, spreads them.

    A pixel's marginals are spread after the next one's message is read: the processor, which looks two
    pixels before it at most, then has work while it waits for the exponentials.

    Args:
        step: the first pixel and the end, and whether the iteration is the first, or the last.
    """
    lattice_corners, rolling_corners, size = len(corners[0]), len(corners[1]), v.lanes(width)
    first, end, is_first, is_last = step
    scattered = values.nbytes > CACHE_BYTES
    row = v.zeros(width)
    for n in range(first, end + 1):
        if scattered:
            soon = min(n + PREFETCH, vertices.offsets.shape[0] - 1) * lattice_corners
            for i in range(soon, soon + lattice_corners):
                v.fetch(values, at(vertices.offsets, i), width)
                v.fetch(sums, at(vertices.offsets, i), width)
        message, from_rolling = v.zeros(width), v.zeros(width)  # two sums: neither waits as long
        if not is_first and n < end:
            for i in range(n * lattice_corners, (n + 1) * lattice_corners):
                corner = v.load_row(values, at(vertices.offsets, i), width)
                message = v.add_scaled(message, at(vertices.slice, i), corner)
            for i in range(n * rolling_corners, (n + 1) * rolling_corners):
                corner = v.load_row(ring.values, int64(at(rolling.slots, i)) * size, width)
                from_rolling = v.add_scaled(from_rolling, at(rolling.vertices.slice, i), corner)
        if n > first and is_last:
            v.store(rows, (n - 1) * size, row)
        elif n > first:
            for i in range((n - 1) * lattice_corners, n * lattice_corners):
                _add(sums, at(vertices.offsets, i), at(vertices.splat, i), row, width)
            for i in range((n - 1) * rolling_corners, n * rolling_corners):
                place = int64(at(rolling.vertices.offsets, i)) * size
                _add(ring.sums, place, at(rolling.vertices.splat, i), row, width)
        if n < end:
            row = v.load_row(rows, n * size, width)
            if is_first:
                row = v.scale(row, float32(1) / v.total(row))
            else:
                row = _updated(row, v.add(message, from_rolling))


@inlined
def _updated(row, message):
    updated = v.multiply(row, v.exp(message))
    total = v.total(updated)
    if not SMALLEST < total < LARGEST:  # large weights
        updated = v.multiply(row, v.exp(v.shift(message, v.largest_where(message, row))))
        total = v.total(updated)
    return v.scale(updated, float32(1) / total)


@inlined
def _add(sums, start, weight, row, width):
    v.store(sums, start, v.add_scaled(v.load_row(sums, start, width), weight, row))


@compiled
def _blur(rows, whole, width):
    """Blurs all lattices in place, along one axis after the other, and mixes their labels."""
    waste = rows.size - v.lanes(width)
    for axis in range(whole.starts.size - 1):
        before, here = v.zeros(width), v.zeros(width)
        place, end = 0, whole.starts[axis + 1]
        for i in range(whole.starts[axis], end):
            soon = at(whole.chains, min(i + PREFETCH, end - 1))
            v.fetch(rows, soon, width)
            following = at(whole.chains, i)
            after = v.load_row(rows, following, width)
            blurred = v.add_scaled(here, float32(0.5), v.add(before, after))
            v.store(rows, place if place else waste, blurred)  # a branch would be guessed wrong
            before, here, place = here, after, following
    for k in range(whole.mixed.shape[0]):
        _mix(rows, whole.mixed[k], whole.matrices[k], width)


@compiled
def _mix(rows, part, matrix, width):
    """Multiplies the vertices' labels by the compatibility: filtering and this commute."""
    size = v.lanes(width)
    for start in range(part[0], part[1], size):
        mixed = v.zeros(width)
        for label in range(matrix.shape[0]):
            row = v.load_row(matrix, label * size, width)
            mixed = v.add_scaled(mixed, at(rows, start + label), row)
        v.store(rows, start, mixed)


@compiled
def _blur_rolling(rolling, ring, progress, until, width):
    """Blurs strip by strip until the vertex `until` is done along all axes, and clears the sums behind.

    An axis follows the one before at the distance `span`.

    Args:
        progress: for each axis the first vertex that is not done, then the first sum not cleared.
    """
    axes, count, _ = rolling.neighbours.shape
    size = v.lanes(width)
    while progress[axes - 1] <= until:
        limit = min(count, progress[0] + STRIP)
        source, first_slot, mask = ring.sums, 0, int64(-1)
        for axis in range(axes):
            target = ring.values if (axes - axis) % 2 else ring.other
            neighbours = rolling.neighbours[axis]
            for vertex in range(progress[axis], limit):
                one = v.load_row(source, int64(at(neighbours, 2 * vertex)) * size, width)
                two = v.load_row(source, int64(at(neighbours, 2 * vertex + 1)) * size, width)
                here = v.load_row(source, (first_slot + (vertex & mask)) * size, width)
                blurred = v.add_scaled(here, float32(0.5), v.add(one, two))
                v.store(target, (1 + (vertex & rolling.mask)) * size, blurred)
            progress[axis] = max(progress[axis], limit)
            limit = count if limit == count else limit - rolling.span
            source, first_slot, mask = target, 1, int64(rolling.mask)
        done = count if progress[0] == count else progress[0] - rolling.span
        if done > progress[axes]:
            ring.sums[progress[axes] * size : done * size] = 0
            progress[axes] = done
