"""Probabilities as rows of labels, N×S, on their way from and to planes, C×N."""

import numpy as np

from segtrain.crf.cpu import vectors as v
from segtrain.crf.cpu.compile_cache import compiled
from segtrain.crf.cpu.vectors import LANES, at, put
from segtrain.crf.potentials import SMALLEST_PROBABILITY

TILE = 64  # pixels that are transposed at a time
float32 = np.float32


def width(count: int) -> tuple[int, ...]:
    """A row of that many labels, see `vectors`."""
    return (0,) * _parts(count)


def size(count: int) -> int:
    """S: the numbers of a row of that many labels."""
    return _parts(count) * LANES


def _parts(count: int) -> int:
    """How many vectors hold that many labels; each answer is compiled, so larger ones are few."""
    parts = -(-count // LANES)
    step = 1 if parts <= 4 else 4 if parts <= 16 else 16
    return -(-parts // step) * step


@compiled
def fill_rows(columns, rows, size):
    """C×N to N×S, nothing below the smallest probability."""
    labels, pixels = columns.shape
    for n in range(pixels):
        for label in range(labels):
            probability = max(at(columns, label * pixels + n), float32(SMALLEST_PROBABILITY))
            put(rows, n * size + label, probability)
        for label in range(labels, size):
            put(rows, n * size + label, float32(0))


@compiled
def read_rows(rows, columns, size):
    """N×S to C×N."""
    labels, pixels = columns.shape
    for start in range(0, pixels, TILE):
        for label in range(labels):
            for n in range(start, min(start + TILE, pixels)):
                columns[label, n] = at(rows, n * size + label)


@compiled
def read_argmax(rows, labels, width):
    for n in range(labels.size):
        labels[n] = v.first_largest(v.load_row(rows, n * v.lanes(width), width))
