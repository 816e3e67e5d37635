"""Overlapping tiles of an image that need not exist as a whole, their class probabilities blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from segtrain.errors import InputError

GRID = 32  # tiles begin on its multiples, so that the cells of a network lie as in the whole image


class Span(NamedTuple):
    """A tile along one side of an image.

    Attributes:
        start, stop: its pixels.
        weights: float32, of each of its pixels; those of all tiles add up to 1 on every pixel.
        begin: the first pixel that no tile before it completes.
        end: the first that a tile after it still adds to; both count from the image's edge.
    """

    start: int
    stop: int
    weights: np.ndarray
    begin: int
    end: int


class Piece(NamedTuple):
    """A finished part of an image.

    Attributes:
        row: of tiles, from 0.
        top, left: its first pixel.
        probabilities: float32 C×h×w; zero where no tile has data.
    """

    row: int
    top: int
    left: int
    probabilities: np.ndarray


def spans(side: int, tile: int, overlap: int) -> list[Span]:
    """The tiles along a side, evenly spread, each overlapping the next by `overlap` pixels or more.

    The outer quarter of an overlap counts nothing, since there the network sees the tile's border; from
    there the weight rises linearly over the middle half. So a network that sees no further than that
    quarter labels as if the image were whole.

    Args:
        side: of the image, in pixels.
        tile: of a tile; overlap: fewer pixels.

    Raises:
        InputError: they are not so.

    Example:
        >>> [(one.start, one.stop) for one in spans(1200, 512, 128)]
        [(0, 512), (320, 832), (672, 1200)]
    """
    if not 0 <= overlap <= tile - GRID:
        raise InputError(
            f"overlap={overlap} must be from 0 to tile - {GRID}, of tile={tile}",
            do="a quarter of the tile is usual",
        )
    last, step = max(side - tile, 0) // GRID, max((tile - overlap) // GRID, 1)
    count = -(-last // step)
    starts = [GRID * (i * last // count) for i in range(count)] + [GRID * last]
    stops = [start + tile for start in starts[:-1]] + [side]
    raw = [_ramp(a, b, side, overlap) for a, b in zip(starts, stops, strict=True)]
    total = np.zeros(side)
    for start, weights in zip(starts, raw, strict=True):
        total[start : start + len(weights)] += weights
    begins = [start + int(np.flatnonzero(w)[0]) for start, w in zip(starts, raw, strict=True)] + [side]
    return [
        Span(start, stop, (w / total[start:stop]).astype(np.float32), begins[i], begins[i + 1])
        for i, (start, stop, w) in enumerate(zip(starts, stops, raw, strict=True))
    ]


def _ramp(start: int, stop: int, side: int, overlap: int) -> np.ndarray:
    """The weight of each pixel of a tile before all are made to add up to 1."""
    unseen, rise = overlap // 4, overlap - 2 * (overlap // 4)
    distance = np.arange(stop - start) + 1.0
    from_start, from_stop = (np.clip((d - unseen) / (rise + 1), 0, 1) for d in (distance, distance[::-1]))
    weights = np.ones(stop - start)
    if start > 0:
        weights *= from_start
    if stop < side:
        weights *= from_stop
    return weights


# The tiles H×W×C of a row at (top, left) with one size, to their class probabilities, float32 C×H×W; None of
# a tile without data.
PredictTiles = Callable[[list[tuple[int, int, np.ndarray]]], list["np.ndarray | None"]]
ReadRows = Callable[[int, int], np.ndarray]  # the first row and the one behind the last, to h×W×C


class Blender:
    """Blends the tiles of an image from the top left. What exists at a time is one row of tiles of the
    image, and of the probabilities the rows in which it overlaps with the next.

    Args:
        size: height and width of the image.
        tile, overlap: in pixels.
        classes: of the probabilities.
        predict: of tiles.
        batch_size: tiles that it gets at a time.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        tile: int,
        overlap: int,
        classes: int,
        predict: PredictTiles,
        batch_size: int = 1,
    ):
        height, width = size
        self.rows, self.columns = spans(height, tile, overlap), spans(width, tile, overlap)
        self.classes, self.predict, self.batch_size, self.width = classes, predict, batch_size, width
        waiting = max(row.stop - row.end for row in self.rows)
        self._below = np.zeros((classes, waiting, width), np.float32)  # of the rows from `end` on

    def first_needed(self, row: int) -> int:
        """The first row of tiles that adds to what is finished from `row` on."""
        return next(i for i in range(row + 1) if self.rows[i].stop > self.rows[row].begin)

    def pieces(self, number: int, image: np.ndarray) -> Iterator[Piece]:
        """What a row of tiles finishes, from the left; all of its pieces are to be taken before the next.

        Args:
            number: of the row; those from `first_needed` on come first, in order.
            image: its rows h×W×C.
        """
        row = self.rows[number]
        above = self.rows[number - 1].stop - row.begin if number else 0
        height = row.stop - row.start
        beside = np.zeros((self.classes, height, 0), np.float32)
        for column, probabilities in self._tiles(row, image):
            if probabilities is None:
                blended = np.zeros(
                    (self.classes, row.stop - row.start, column.stop - column.start), np.float32
                )
            else:
                blended = probabilities * row.weights[:, None]
                blended *= column.weights
            blended = blended[..., column.begin - column.start :]
            blended[..., : beside.shape[2]] += beside
            beside = blended[..., column.end - column.begin :]
            done = blended[..., : column.end - column.begin]
            here = np.s_[:, :, column.begin : column.end]
            top = row.begin - row.start
            done[:, top : top + above] += self._below[here][:, : max(above, 0)]
            self._below[here][:, : row.stop - row.end] = done[:, row.end - row.start :]
            yield Piece(number, row.begin, column.begin, done[:, top : row.end - row.start])

    def _tiles(self, row: Span, image: np.ndarray) -> Iterator[tuple[Span, np.ndarray | None]]:
        """The columns of a row of tiles with the probabilities of each, as many at a time as one batch."""
        for _, alike in groupby(self.columns, lambda column: column.stop - column.start):
            columns = list(alike)
            for i in range(0, len(columns), self.batch_size):
                batch = columns[i : i + self.batch_size]
                tiles = [(row.start, one.start, image[:, one.start : one.stop]) for one in batch]
                yield from zip(batch, self.predict(tiles), strict=True)
