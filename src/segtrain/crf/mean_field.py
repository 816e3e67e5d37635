"""Mean-field inference over lattices: every iteration is one pass over the pixels.

At a pixel, what the iteration before left on the lattices is read (slice), the labels' probabilities
follow from it, and are spread onto the lattices for the next iteration (splat); all of this while the
pixel's labels stay in registers. The marginals of the iterations between exist on the lattices alone.

The rows of all lattices stand one after the other, so that a pixel has one list of vertices and
weights, whatever the kernels are: the weights contain normalisation and compatibility. Between two
passes a lattice is blurred, and its rows are cleared for the next. A lattice of places alone has, at a
small deviation, more vertices than there are pixels; but as both are numbered in raster order, its
neighbours are near. So it is blurred just ahead of the pixels, into a ring of rows that stays in the
processor's cache, and never as a whole.
"""

from typing import NamedTuple

import numpy as np

from segtrain.crf import vectors as v
from segtrain.crf.compiled import compiled, inlined
from segtrain.crf.vectors import at

STRIP = 256  # vertices that are blurred at a time
CACHE_BYTES = 1 << 22  # lattices above it are fetched ahead of their use
AHEAD = 8  # pixels
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


class Store(NamedTuple):
    """Where a lattice's rows are: vertex i in row `first + (i & mask)` of `rows`, none in `none`."""

    rows: np.ndarray
    first: int
    mask: int
    none: int


class Layer(NamedTuple):
    """A lattice with its memory.

    Attributes:
        neighbours: int32 axes×M×2.
        reach: no vertex has a neighbour further ahead or behind.
        sums, values, other: what is spread, what is read, and what stands between two axes.
        compatibility: float32 K×S, or 0×S where it is in the weights.
    """

    neighbours: np.ndarray
    reach: int
    sums: Store
    values: Store
    other: Store
    compatibility: np.ndarray


@compiled
def mean_field(pixels, layers, last_vertex, iterations, corners, width):
    """Some iterations of the marginals of `pixels`.

    Args:
        layers: a tuple of Layer, at least one.
        last_vertex: int64 H: the last vertex of the last layer that the picture's rows have touched.
        corners: of a pixel in the layers that are blurred as a whole, after each pass, and in the last
            one where that is blurred just ahead of the pixels: two tuples of which the lengths count,
            so that the compiler knows them.
        width: how wide a row is, see `vectors`.
    """
    height = last_vertex.size
    across = pixels.vertices.shape[0] // height
    ahead = len(corners[1]) > 0
    whole = len(layers) - (1 if ahead else 0)
    for k in range(len(layers)):
        sums = layers[k].sums
        _clear(sums.rows, sums.first, sums.first + layers[k].neighbours.shape[1], width)
        for store in (layers[k].values, layers[k].other):
            _clear(store.rows, store.none, store.none + 1, width)
    progress = np.empty(8, int64)
    for iteration in range(iterations + 1):
        progress[:] = 1
        for y in range(height):
            if ahead and iteration > 0:
                _blur(layers[-1], progress, last_vertex[y], width)
            step = (y * across, (y + 1) * across, iteration == 0, iteration == iterations)
            _pass(pixels, layers[0].values.rows, layers[-1], step, corners, width)
        for k in range(whole if iteration < iterations else 0):
            progress[:] = 1
            _blur(layers[k], progress, layers[k].neighbours.shape[1] - 1, width)
            _mix(layers[k], width)


@compiled
def _pass(pixels, values, layer, step, corners, width):
    """One iteration for some pixels: reads the lattices, updates the marginals, spreads them.

    Args:
        values: of the layers that were blurred as a whole.
        layer: the last, from whose own store a pixel's last corners are read.
        step: the first pixel and the end, and whether the iteration is the first, or the last.
    """
    rows, start, marginals, vertices, splat, sliced = pixels
    sums, ring, corners_whole = layer.sums.rows, layer.values, len(corners[0])
    all_corners = corners_whole + len(corners[1])
    first, end, is_first, is_last = step
    scattered = values.nbytes > CACHE_BYTES
    for n in range(first, end):
        if scattered:
            soon = min(n + AHEAD, vertices.shape[0] - 1) * all_corners
            for i in range(soon, soon + corners_whole):
                v.fetch(values, at(vertices, i), width)
                v.fetch(sums, at(vertices, i), width)
        if not is_first:
            row = v.load(rows, n, width)
            message, from_ring = v.zeros(width), v.zeros(width)  # two sums: neither waits as long
            for i in range(n * all_corners, n * all_corners + corners_whole):
                message = v.add_scaled(message, at(sliced, i), v.load(values, at(vertices, i), width))
            for i in range(n * all_corners + corners_whole, (n + 1) * all_corners):
                place = ring.first + ((int64(at(vertices, i)) - layer.sums.first) & ring.mask)
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
            for i in range(n * all_corners, (n + 1) * all_corners):
                vertex = at(vertices, i)
                v.store(sums, vertex, v.add_scaled(v.load(sums, vertex, width), at(splat, i), row))


@compiled
def _clear(rows, first, end, width):
    for row in range(first, end):
        v.store(rows, row, v.zeros(width))


@compiled
def _blur(layer, progress, until, width):
    """Blurs strip by strip until the vertex `until` is done along all axes, and clears the sums behind.

    An axis follows the one before at the distance `reach`.

    Args:
        progress: for each axis the first vertex that is not done, then the first sum not cleared.
    """
    axes, count, _ = layer.neighbours.shape
    while progress[axes - 1] <= until:
        limit = min(count, progress[0] + STRIP)
        source = layer.sums
        for axis in range(axes):
            target = layer.values if (axes - axis) % 2 else layer.other
            _blur_axis(source, target, layer.neighbours[axis], progress[axis], limit, width)
            progress[axis] = max(progress[axis], limit)
            limit = count if limit == count else limit - layer.reach
            source = target
        done = count if progress[0] == count else progress[0] - layer.reach
        if done > progress[axes]:
            first = layer.sums.first
            _clear(layer.sums.rows, first + progress[axes], first + done, width)
            progress[axes] = done


@compiled
def _blur_axis(source, target, neighbours, first, end, width):
    scattered = target.mask == -1 and target.rows.nbytes > CACHE_BYTES
    for vertex in range(first, end):
        if scattered:
            soon = 2 * min(vertex + AHEAD, end - 1)
            v.fetch(source.rows, _row(source, at(neighbours, soon)), width)
            v.fetch(source.rows, _row(source, at(neighbours, soon + 1)), width)
        one = v.load(source.rows, _row(source, at(neighbours, 2 * vertex)), width)
        two = v.load(source.rows, _row(source, at(neighbours, 2 * vertex + 1)), width)
        here = v.load(source.rows, _row(source, vertex), width)
        v.store(target.rows, _row(target, vertex), v.add_scaled(here, float32(0.5), v.add(one, two)))


@inlined
def _row(store, vertex):
    return store.first + (int64(vertex) & store.mask) if vertex else store.none


@compiled
def _mix(layer, width):
    """Multiplies the vertices' labels by the compatibility: filtering and this commute."""
    matrix, values = layer.compatibility, layer.values
    if matrix.shape[0] > 0:
        for row in range(values.first + 1, values.first + layer.neighbours.shape[1]):
            mixed = v.zeros(width)
            for label in range(matrix.shape[0]):
                weight = at(values.rows, row * v.lanes(width) + label)
                mixed = v.add_scaled(mixed, weight, v.load(matrix, label, width))
            v.store(values.rows, row, mixed)
