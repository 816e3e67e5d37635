"""Probabilities as rows of labels, N×S, on their way from and to planes, C×N."""

import numpy as np

from segtrain.crf.cpu import vectors as v
from segtrain.crf.cpu.arrays import at, put
from segtrain.crf.cpu.compile_cache import compiled
from segtrain.crf.cpu.vectors import LANES
from segtrain.crf.potentials import SMALLEST_PROBABILITY

TILE = 64  # pixels that are transposed at a time
float32 = np.float32


def width(count: int) -> tuple[int, ...]:
    """A row as a type, see `vectors`.

    Args:
        count: of its labels.

    Returns:
        A tuple of which the length counts: the eights that hold them.
    """
    return (0,) * _parts(count)


def size(count: int) -> int:
    """S: the numbers of a row.

    Args:
        count: of its labels.
    """
    return _parts(count) * LANES


def _parts(count: int) -> int:
    """How many vectors hold that many labels; each answer is compiled, so larger ones are few."""
    parts = -(-count // LANES)
    step = 1 if parts <= 4 else 4 if parts <= 16 else 16
    return -(-parts // step) * step


@compiled
def fill_rows(columns, rows, size, tolerance):
    """C×N to N×S, nothing below the smallest probability.

    Args:
        columns: float32 C×N, a softmax.
        rows: float32 N·S, to be written.
        size: S.
        tolerance: how far from 1 a pixel's sum may be.

    Returns:
        The first pixel whose values are no probabilities; -1 where there is none.
    """
    labels, pixels = columns.shape
    wrong = -1
    for n in range(pixels):
        total, lowest = float32(0), float32(0)
        for label in range(labels):
            given = at(columns, label * pixels + n)
            total += given
            lowest = min(lowest, given)
            put(rows, n * size + label, max(given, float32(SMALLEST_PROBABILITY)))
        for label in range(labels, size):
            put(rows, n * size + label, float32(0))
        if wrong < 0 and not (abs(total - float32(1)) <= tolerance and lowest >= 0):
            wrong = n
    return wrong


@compiled
def read_rows(rows, columns, size):
    """N×S to C×N.

    Args:
        rows: float32 N·S.
        columns: float32 C×N, to be written.
        size: S.
    """
    labels, pixels = columns.shape
    for start in range(0, pixels, TILE):
        for label in range(labels):
            for n in range(start, min(start + TILE, pixels)):
                columns[label, n] = at(rows, n * size + label)


@compiled
def read_argmax(rows, labels, width):
    """The index of each row's largest number, of equal ones the first.

    Args:
        rows: float32 N·S.
        labels: int32 N, to be written.
        width: of a row.
    """
    for n in range(labels.size):
        labels[n] = v.first_largest(v.load_row(rows, n * v.lanes(width), width))
