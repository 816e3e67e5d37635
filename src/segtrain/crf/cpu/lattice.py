"""The permutohedral lattice: a Gaussian filter in any number of dimensions, in linear time.

"Fast High-Dimensional Filtering Using the Permutohedral Lattice", Adams, Baek and Davis, Eurographics
2010. The features of a pixel (its place and its colours over their stds) are lifted onto
the plane in d+1 dimensions whose coordinates sum to 0. There the lattice divides space into simplices;
a pixel's value is spread over the d+1 vertices around it by its barycentric coordinates, blurred along
the d+1 axes from vertex to vertex, and read back in the same way.

A vertex is known by d coordinates, packed into one 64-bit key, and found by hashing. Vertices are
numbered in the order in which a raster scan meets them; number 0 is none: it takes the place of
neighbours that no pixel touches. As nothing is blurred through a vertex that is missing, the vertices
have to be pydensecrf's if the marginals are to be: hence its order of operations, and its pixel of
features 0, with which it fills up its last four where the pixels are no multiple of four.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from segtrain.crf.coordinates import feature_scale, key_layout, slicing_scale
from segtrain.crf.cpu.arrays import at, put
from segtrain.crf.cpu.compile_cache import compiled, inlined
from segtrain.crf.cpu.simplices import BLOCK, Work, find_simplices, set_features
from segtrain.crf.cpu.vectors import fetch

MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: multiplicative hashing
FIRST_BITS = 14  # of the hash table's slots
PREFETCH = 8  # keys whose slot is fetched before it is needed
NO_COLOURS = np.zeros((0, 1), np.float32)
float32, int32, int64 = np.float32, np.int32, np.int64


Memory = Callable[[str, type, int], np.ndarray]  # of a name, a dtype, and how many numbers


class Lattice(NamedTuple):
    """The vertices around each of N pixels in d dimensions, and each of M-1 vertices' neighbours.

    Attributes:
        vertices: int32 N×(d+1), from 1.
        weights: float32 N×(d+1), barycentric: those of a pixel sum to 1.
        neighbours: int32 (d+1)×M×2, along each axis; 0 is none.
        ones: float32 N, an image of ones after the filter.
    """

    vertices: np.ndarray
    weights: np.ndarray
    neighbours: np.ndarray
    ones: np.ndarray


class Table(NamedTuple):
    """An open hash table: pairs of key and number, -1 where empty; `shift` takes a hash to a slot."""

    pairs: np.ndarray
    shift: np.uint64


def _new_memory(name: str, dtype: type, count: int) -> np.ndarray:
    return np.empty(count, dtype)


def lattice(
    height: int, width: int, colours: np.ndarray, stds: tuple[float, ...], memory: Memory = _new_memory
) -> Lattice:
    """The lattice of an image's pixels.

    Args:
        height: H.
        width: W.
        colours: float32 channels×(H·W).
        stds: of x, of y, and of each channel, above 0.
        memory: where the pixels' vertices and weights are to stand.

    Returns:
        Its vertices in the order in which a raster scan meets them.

    Raises:
        InputError: stds so small that the vertices' keys do not fit into 64 bits.
    """
    scale, by = feature_scale(len(stds)), np.array(stds, np.float32)
    ends = [(0, width - 1), (0, height - 1), *((min(c.min(), 0), max(c.max(), 0)) for c in colours)]
    keys = key_layout(np.array(ends, float) / by[:, None], scale)
    shape = height * width + 1, len(stds) + 1  # and one of features 0
    vertices = memory("vertices", np.int32, math.prod(shape)).reshape(shape)
    weights = memory("weights", np.float32, math.prod(shape)).reshape(shape)
    neighbours = _build(height, width, colours, by, scale, keys, vertices, weights)
    vertices, weights = vertices[:-1], weights[:-1]
    ones = _filtered_ones(vertices, weights, neighbours) * float32(slicing_scale(len(stds)))
    return Lattice(vertices, weights, neighbours, ones)


@compiled
def _build(height, width, colours, stds, scale, keys, vertices, weights):
    """Writes the vertices and the weights, and gives the neighbours."""
    corners = stds.size + 1
    work = Work(
        np.zeros((corners - 1, BLOCK), float32),
        np.empty((corners, BLOCK), float32),
        np.empty((corners, BLOCK), float32),
        np.empty((corners, BLOCK), int32),
        np.empty((corners, BLOCK), float32),
        np.empty((corners, BLOCK), int64),
        np.empty((corners, BLOCK), int64),
        np.empty((corners, BLOCK), float32),
    )
    pixels = height * width
    table = _empty_table(FIRST_BITS)
    found = np.empty(1 << FIRST_BITS, int64)  # the key of each vertex
    count = 1
    for y in range(height):
        for x in range(0, width, BLOCK):
            pixel, size = y * width + x, min(BLOCK, width - x)
            set_features(work.features, x, y, colours, pixel, size, stds)
            find_simplices(work, scale, keys)
            most = count + (size + 1) * corners
            if 4 * most > table.pairs.size:
                table = _grown(table)
            if most > found.size:
                found, fewer = np.empty(2 * found.size, int64), found
                found[: fewer.size] = fewer
            count = _number(work, pixel, size, vertices, weights, table, found, count)
    if pixels % 4:
        work.features[:] = 0
        find_simplices(work, scale, keys)
        count = _number(work, pixels, 1, vertices, weights, table, found, count)
    return _neighbours(found[:count], table, keys, corners)


@compiled
def _number(work, pixel, size, vertices, weights, table, found, count):
    """Gives each new key a number and writes the numbers and weights of a block's pixels."""
    corners = work.keys.shape[0]
    for t in range(size):
        first = (pixel + t) * corners
        for r in range(corners):
            key = at(work.keys, r * BLOCK + t)
            soon = at(work.keys, r * BLOCK + min(t + PREFETCH, BLOCK - 1))
            fetch(table.pairs, 2 * _first_slot(table, soon), (0,))
            slot = _slot(table, key)
            if at(table.pairs, slot) == -1:
                put(table.pairs, slot, key)
                put(table.pairs, slot + 1, count)
                put(found, count, key)
                count += 1
            put(vertices, first + r, at(table.pairs, slot + 1))
            put(weights, first + r, at(work.weights, r * BLOCK + t))
    return count


@compiled
def _empty_table(bits):
    pairs = np.empty(int64(2) << bits, int64)
    pairs[:] = -1
    return Table(pairs, np.uint64(64 - bits))


@inlined
def _first_slot(table, key):
    return int64((np.uint64(key) * MIX) >> table.shift)


@inlined
def _slot(table, key):
    """Where the key stands, or would."""
    last = table.pairs.size // 2 - 1
    slot = _first_slot(table, key)
    while at(table.pairs, 2 * slot) != key and at(table.pairs, 2 * slot) != -1:
        slot = (slot + 1) & last
    return 2 * slot


@compiled
def _grown(table):
    bigger = _empty_table(65 - int64(table.shift))
    for old in range(0, table.pairs.size, 2):
        if table.pairs[old] != -1:
            new = _slot(bigger, table.pairs[old])
            bigger.pairs[new] = table.pairs[old]
            bigger.pairs[new + 1] = table.pairs[old + 1]
    return bigger


@compiled
def _neighbours(found, table, keys, corners):
    """Along axis i coordinate i changes by d and the others by 1 the other way; both are noted at once."""
    count = found.size
    result = np.zeros((corners, count, 2), int32)
    for i in range(corners):
        step = -keys.ones + (int64(corners) << keys.shifts[i] if i < corners - 1 else int64(0))
        axis = result[i]
        for vertex in range(1, count):
            soon = min(vertex + PREFETCH, count - 1)
            fetch(table.pairs, 2 * _first_slot(table, at(found, soon) + step), (0,))
            slot = _slot(table, at(found, vertex) + step)
            if at(table.pairs, slot) != -1:
                other = at(table.pairs, slot + 1)
                put(axis, 2 * vertex, other)
                put(axis, 2 * other + 1, vertex)
    return result


@compiled
def _filtered_ones(vertices, weights, neighbours):
    pixels, corners = vertices.shape
    now, after = np.zeros((2, neighbours.shape[1]), float32)
    for i in range(vertices.size):
        vertex = at(vertices, i)
        put(now, vertex, at(now, vertex) + at(weights, i))
    for i in range(corners):
        axis = neighbours[i]
        for v in range(1, now.size):
            both = at(now, at(axis, 2 * v)) + at(now, at(axis, 2 * v + 1))
            put(after, v, at(now, v) + float32(0.5) * both)
        now, after = after, now
    ones = np.zeros(pixels, float32)
    for n in range(pixels):
        for r in range(n * corners, (n + 1) * corners):
            put(ones, n, at(ones, n) + at(weights, r) * at(now, at(vertices, r)))
    return ones
