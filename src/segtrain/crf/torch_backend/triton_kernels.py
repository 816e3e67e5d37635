"""Mean field's steps over a lattice as Triton kernels: sums in a fixed order, no atomic additions.

A row is a pixel's, or a vertex's, labels: float32, S long, S a power of 2 (what is beyond the labels stays
0). Images of a batch that share a lattice have their rows of vertices one after the other.
"""

import triton
import triton.language as tl


@triton.jit
def splat_chunks(
    marginals, parts, pixels, weights, begins, ends, pixel_count, S: tl.constexpr, E: tl.constexpr
):
    """Sums up to E weighted pixels of one vertex.

    Args:
        marginals: rows of the pixels.
        parts: rows to be written, one a chunk and image.
        pixels: int32, the pixels of each vertex, one vertex after the other.
        weights: float32, theirs.
        begins: int32, where each chunk's pixels begin.
        ends: int32, where they end.
        pixel_count: of an image, or 0 if the lattice is the batch's.
        S: numbers of a row.
        E: most pixels of a chunk.
    """
    chunk, image = tl.program_id(0), tl.program_id(1).to(tl.int64)
    entry, column = tl.load(begins + chunk) + tl.arange(0, E), tl.arange(0, S)
    there = entry < tl.load(ends + chunk)
    pixel = image * pixel_count + tl.load(pixels + entry, there, 0)
    weight = tl.load(weights + entry, there, 0.0)
    rows = tl.load(marginals + pixel[:, None] * S + column[None, :], there[:, None], 0.0)
    tl.store(parts + (image * tl.num_programs(0) + chunk) * S + column, tl.sum(rows * weight[:, None], 0))


@triton.jit
def sum_chunks(parts, values, firsts, chunk_count, S: tl.constexpr):
    """Sums the chunks of each vertex.

    Args:
        parts: rows of the chunks.
        values: rows of the vertices, to be written.
        firsts: int32, where each vertex's chunks begin, and their end.
        chunk_count: of an image.
        S: numbers of a row.
    """
    vertex, image = tl.program_id(0), tl.program_id(1).to(tl.int64)
    column, total = tl.arange(0, S), tl.zeros([S], tl.float32)
    for chunk in range(tl.load(firsts + vertex), tl.load(firsts + vertex + 1)):
        total += tl.load(parts + (image * chunk_count + chunk) * S + column)
    tl.store(values + (image * tl.num_programs(0) + vertex) * S + column, total)


@triton.jit
def blur(values, blurred, further, back, vertex_count, S: tl.constexpr, BLOCK: tl.constexpr):
    """Blurs along one axis by (½, 1, ½).

    Args:
        values: rows of the vertices; the first is none, and 0.
        blurred: rows to be written.
        further: int32, each vertex's neighbour on one side, or 0.
        back: int32, that on the other side.
        vertex_count: of an image, the first included.
        S: numbers of a row.
        BLOCK: vertices of a program.
    """
    vertex, image = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1).to(tl.int64)
    column, there = tl.arange(0, S)[None, :], vertex < vertex_count
    start = image * vertex_count
    one = start + tl.load(further + vertex, there, 0)
    two = start + tl.load(back + vertex, there, 0)
    sides = tl.load(values + one[:, None] * S + column) + tl.load(values + two[:, None] * S + column)
    own = (start + vertex)[:, None] * S + column
    here = tl.load(values + own, there[:, None], 0.0)
    tl.store(blurred + own, here + 0.5 * sides, there[:, None])


@triton.jit
def slice_lattice(
    before, after, values, vertices, weights, pixel_count, total, vertex_count, labels,
    CORNERS: tl.constexpr, S: tl.constexpr, BLOCK: tl.constexpr, SOFTMAX: tl.constexpr,
):  # fmt: skip
    """Adds a lattice's message to each pixel's logits.

    Args:
        before: rows of the pixels, the logits so far.
        after: rows to be written.
        values: rows of the vertices, blurred.
        vertices: int32, each pixel's.
        weights: float32, theirs, which contain normalisation and compatibility.
        pixel_count: of the lattice: an image's, or the batch's.
        total: pixels of the batch.
        vertex_count: of an image, the first included.
        labels: how many of a row's numbers are labels.
        CORNERS: vertices of a pixel.
        S: numbers of a row.
        BLOCK: pixels of a program.
        SOFTMAX: whether marginals are written in place of logits.
    """
    pixel, column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, S)[None, :]
    there = pixel < total
    own, start = pixel % pixel_count, (pixel // pixel_count).to(tl.int64) * vertex_count
    place = pixel.to(tl.int64)[:, None] * S + column
    logits = tl.load(before + place, there[:, None], 0.0)
    for corner in tl.static_range(CORNERS):
        vertex = start + tl.load(vertices + own * CORNERS + corner, there, 0)
        weight = tl.load(weights + own * CORNERS + corner, there, 0.0)
        logits += weight[:, None] * tl.load(values + vertex[:, None] * S + column)
    if SOFTMAX:
        logits = tl.where(column < labels, logits, float("-inf"))
        exponentials = tl.exp(logits - tl.max(logits, 1)[:, None])
        logits = exponentials / tl.sum(exponentials, 1)[:, None]
    tl.store(after + place, logits, there[:, None])
