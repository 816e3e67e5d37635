"""Mean-field inference over lattices: every iteration is one pass over the pixels.

At a pixel, what the iteration before left on the lattices is read (slice), the labels' probabilities
follow from it, and are spread onto the lattices for the next iteration (splat); all of this while the
pixel's labels stay in registers. The marginals of the iterations between exist on the lattices alone.

The rows of the lattices stand one after the other, so that a pixel has one list of vertices and
weights, whatever the kernels are: the weights contain normalisation and compatibility. Between two
passes they are blurred in place, chain by chain of neighbours: each row is read once. A lattice of
places alone has, at a small deviation, more vertices than there are pixels; but as both are numbered in
raster order, its neighbours are near. So it is blurred just ahead of the pixels, into a ring of rows
that stays in the processor's cache, and never as a whole.
"""

from typing import NamedTuple

import numpy as np

from segtrain.crf import vectors as v
from segtrain.crf.compiled import compiled, inlined
from segtrain.crf.vectors import at

STRIP = 256  # vertices that are blurred at a time
CACHE_BYTES = 1 << 21  # lattices above it are fetched ahead of their use
AHEAD = 8  # pixels, or rows
SMALLEST, LARGEST = 2.0**-40, 2.0**100  # sums of exponentials in which no label was lost
float32, int64 = np.float32, np.int64


class Pixels(NamedTuple):
    """The pixels' side of the field.

    Attributes:
        rows: float32 N·S: probabilities, each pixel's padded by zeros to S.
        start, marginals: float32 N·S: those to begin with, which need not sum to 1, and those of the
            last iteration; each may be `rows` itself.
        vertices: int32 N×corners, rows of the lattices' memory.
        splat, slice: float32 N×corners, the weights of spreading and of reading.
    """

    rows: np.ndarray
    start: np.ndarray
    marginals: np.ndarray
    vertices: np.ndarray
    splat: np.ndarray
    slice: np.ndarray


class Whole(NamedTuple):
    """The memory of the lattices that are blurred as a whole: row 0 is none, the last one is for waste.

    Attributes:
        values, sums: float32, what is read and what is spread; they change places.
        chains: int32, rows that are neighbours along an axis, chain by chain with 0 before and after.
        starts: int64, where an axis's chains begin, and their end.
        matrices, mixed: of the lattices that have one, their compatibility and the first row and the end.
    """

    values: np.ndarray
    sums: np.ndarray
    chains: np.ndarray
    starts: np.ndarray
    matrices: np.ndarray
    mixed: np.ndarray


class Ring(NamedTuple):
    """Where rows are kept: vertex i in row `first + (i & mask)`; the row of none is 0."""

    rows: np.ndarray
    first: int
    mask: int


class Ahead(NamedTuple):
    """The lattice that is blurred just ahead of the pixels.

    Attributes:
        neighbours: int32 axes×M×2.
        reach: no vertex has a neighbour further ahead or behind.
        sums, values, other: what is spread, what is read, and what stands between two axes.
        last_vertex: int64 H: the last vertex that the picture's rows have touched.
    """

    neighbours: np.ndarray
    reach: int
    sums: Ring
    values: Ring
    other: Ring
    last_vertex: np.ndarray


@compiled
def mean_field(pixels, whole, ahead, iterations, corners, width):
    """Some iterations of the marginals of `pixels`.

    Args:
        corners: of a pixel in `whole` and in `ahead`: two tuples of which the lengths count, so that
            the compiler knows them.
        width: how wide a row is, see `vectors`.
    """
    height = ahead.last_vertex.size
    across = pixels.vertices.shape[0] // height
    values, sums = whole.values, whole.sums
    count = sums.size // v.lanes(width)
    _clear(sums, 0, count, width)
    _clear(values, 0, 1, width)
    _clear(ahead.sums.rows, 0, ahead.neighbours.shape[1], width)
    for ring in (ahead.values, ahead.other):
        _clear(ring.rows, 0, 1, width)
    progress = np.empty(8, int64)
    for iteration in range(iterations + 1):
        progress[:] = 1
        for y in range(height):
            if len(corners[1]) > 0 and iteration > 0:
                _blur_ahead(ahead, progress, ahead.last_vertex[y], width)
            step = (y * across, (y + 1) * across, iteration == 0, iteration == iterations)
            _pass(pixels, values, sums, ahead, step, corners, width)
        if iteration < iterations:
            values, sums = sums, values
            _blur(values, whole, width)
            _clear(sums, 1, count, width)


@compiled
def _pass(pixels, values, sums, ahead, step, corners, width):
    """One iteration for some pixels: reads the lattices, updates the marginals, spreads them.

    Args:
        step: the first pixel and the end, and whether the iteration is the first, or the last.
    """
    rows, start, marginals, vertices, splat, sliced = pixels
    ring, ring_sums, corners_whole = ahead.values, ahead.sums.rows, len(corners[0])
    all_corners = corners_whole + len(corners[1])
    first, end, is_first, is_last = step
    scattered = values.nbytes > CACHE_BYTES
    for n in range(first, end):
        if scattered:
            soon = min(n + AHEAD, vertices.shape[0] - 1) * all_corners
            for i in range(soon, soon + corners_whole):
                v.fetch(values, at(vertices, i), width)
                v.fetch(sums, at(vertices, i), width)
        a, b, c = n * all_corners, n * all_corners + corners_whole, (n + 1) * all_corners
        if not is_first:
            row = v.load(rows, n, width)
            message, from_ring = v.zeros(width), v.zeros(width)  # two sums: neither waits as long
            for i in range(a, b):
                message = v.add_scaled(message, at(sliced, i), v.load(values, at(vertices, i), width))
            for i in range(b, c):
                place = ring.first + (int64(at(vertices, i)) & ring.mask)
                from_ring = v.add_scaled(from_ring, at(sliced, i), v.load(ring.rows, place, width))
            message = v.add(message, from_ring)
            updated = v.multiply(row, v.exp(message))
            total = v.total(updated)
            if not SMALLEST < total < LARGEST:  # large weights
                updated = v.multiply(row, v.exp(v.shift(message, v.largest_where(message, row))))
                total = v.total(updated)
            row = updated
        else:
            row = v.load(start, n, width)
            total = v.total(row)
        row = v.scale(row, float32(1) / total)
        if is_last:
            v.store(marginals, n, row)
        else:
            for i in range(a, b):
                _add(sums, at(vertices, i), at(splat, i), row, width)
            for i in range(b, c):
                _add(ring_sums, at(vertices, i), at(splat, i), row, width)


@inlined
def _add(sums, vertex, weight, row, width):
    v.store(sums, vertex, v.add_scaled(v.load(sums, vertex, width), weight, row))


@compiled
def _clear(rows, first, end, width):
    for row in range(first, end):
        v.store(rows, row, v.zeros(width))


@compiled
def _blur(rows, whole, width):
    """Blurs all lattices in place, along one axis after the other, and mixes their labels."""
    waste = rows.size // v.lanes(width) - 1
    for axis in range(whole.starts.size - 1):
        before, here = v.zeros(width), v.zeros(width)
        vertex, end = 0, whole.starts[axis + 1]
        for i in range(whole.starts[axis], end):
            soon = at(whole.chains, min(i + AHEAD, end - 1))
            v.fetch(rows, soon, width)
            following = at(whole.chains, i)
            after = v.load(rows, following, width)
            blurred = v.add_scaled(here, float32(0.5), v.add(before, after))
            v.store(rows, vertex if vertex else waste, blurred)  # a branch would be guessed wrong
            before, here, vertex = here, after, following
    for k in range(whole.mixed.shape[0]):
        _mix(rows, whole.mixed[k], whole.matrices[k], width)


@compiled
def _mix(rows, part, matrix, width):
    """Multiplies the vertices' labels by the compatibility: filtering and this commute."""
    for row in range(part[0], part[1]):
        mixed = v.zeros(width)
        for label in range(matrix.shape[0]):
            weight = at(rows, row * v.lanes(width) + label)
            mixed = v.add_scaled(mixed, weight, v.load(matrix, label, width))
        v.store(rows, row, mixed)


@compiled
def _blur_ahead(ahead, progress, until, width):
    """Blurs strip by strip until the vertex `until` is done along all axes, and clears the sums behind.

    An axis follows the one before at the distance `reach`.

    Args:
        progress: for each axis the first vertex that is not done, then the first sum not cleared.
    """
    axes, count, _ = ahead.neighbours.shape
    while progress[axes - 1] <= until:
        limit = min(count, progress[0] + STRIP)
        source = ahead.sums
        for axis in range(axes):
            target = ahead.values if (axes - axis) % 2 else ahead.other
            _blur_axis(source, target, ahead.neighbours[axis], progress[axis], limit, width)
            progress[axis] = max(progress[axis], limit)
            limit = count if limit == count else limit - ahead.reach
            source = target
        done = count if progress[0] == count else progress[0] - ahead.reach
        if done > progress[axes]:
            _clear(ahead.sums.rows, progress[axes], done, width)
            progress[axes] = done


@compiled
def _blur_axis(source, target, neighbours, first, end, width):
    for vertex in range(first, end):
        one = v.load(source.rows, _row(source, at(neighbours, 2 * vertex)), width)
        two = v.load(source.rows, _row(source, at(neighbours, 2 * vertex + 1)), width)
        here = v.load(source.rows, _row(source, vertex), width)
        v.store(target.rows, _row(target, vertex), v.add_scaled(here, float32(0.5), v.add(one, two)))


@inlined
def _row(ring, vertex):
    return ring.first + (int64(vertex) & ring.mask) if vertex else 0
