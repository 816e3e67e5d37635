"""Which rows of the image each row of a feature map depends on, layer by layer.

A receptive field is kept as an interval of image rows for every row of a map, so that padding, mirrored
borders, crops and upsampling cut it where they do, without a formula for networks that branch. Columns are
taken to be like rows. See "Computing Receptive Fields of Convolutional Neural Networks", Araujo, Norris and
Sim, Distill 2019, for the formulas of chains; here nothing is assumed of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from segtrain.layers.grid import Grid

NOWHERE = 1 << 40  # bounds of an empty interval: first above last, whatever the image


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive fields of a map's rows.

    Attributes:
        first, last: int64, by row of the map: the rows of the image between which it sees something.
        everywhere: it sees the whole image beside, by image pooling or attention.

    Example:
        >>> ReceptiveField.of_image(8).window(3, stride=2, padding=1).last
        array([1, 3, 5, 7])
    """

    first: np.ndarray
    last: np.ndarray
    everywhere: bool = False

    @classmethod
    def of_image(cls, rows: int) -> ReceptiveField:
        """Every row sees itself."""
        return cls(np.arange(rows), np.arange(rows))

    @classmethod
    def empty(cls, rows: int, *, everywhere: bool = False) -> ReceptiveField:
        """Rows that see nothing, or nothing but the whole image."""
        return cls(np.full(rows, NOWHERE), np.full(rows, -NOWHERE), everywhere)

    def __len__(self) -> int:
        return len(self.first)

    def window(
        self, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, rows: int = 0
    ) -> ReceptiveField:
        """After a convolution or pooling. rows: of the output, where it rounds up."""
        extent = dilation * (kernel - 1)
        rows = rows or (len(self) + 2 * padding - extent - 1) // stride + 1
        starts = stride * np.arange(rows) - padding
        return self._union(self.at(starts + dilation * tap) for tap in range(kernel))

    def spread(
        self, kernel: int, *, stride: int, padding: int = 0, dilation: int = 1, rows: int
    ) -> ReceptiveField:
        """After a transposed convolution of so many rows."""
        positions = np.arange(rows) + padding

        def through(tap: int) -> ReceptiveField:
            cells, rest = np.divmod(positions - dilation * tap, stride)
            return self.at(np.where(rest == 0, cells, -1))

        return self._union(through(tap) for tap in range(kernel))

    def at(self, rows: np.ndarray | Sequence[int]) -> ReceptiveField:
        """The rows of these indices; nothing where there is none of that index."""
        index = np.asarray(rows)
        inside = (index >= 0) & (index < len(self))
        safe = np.where(inside, index, 0)
        first = np.where(inside, self.first[safe], NOWHERE)
        return ReceptiveField(first, np.where(inside, self.last[safe], -NOWHERE), self.everywhere)

    def resized(self, rows: int, *, linear: bool, align_corners: bool = False) -> ReceptiveField:
        """After an interpolation to so many rows, nearest or linear."""
        place = np.arange(rows)
        if not linear:
            return self.at(place * len(self) // rows)
        if align_corners:
            # In whole numbers, or rounding adds a neighbour of weight 1e-16.
            low, rest = np.divmod(place * (len(self) - 1), max(rows - 1, 1))
        else:
            low, rest = np.divmod((2 * place + 1) * len(self) - rows, 2 * rows)
            rest = np.where(low < 0, 0, rest)
            low = np.maximum(low, 0)
        high = np.where(rest == 0, low, np.minimum(low + 1, len(self) - 1))
        return self._union([self.at(low), self.at(high)])

    def mixed(self, weights: np.ndarray) -> ReceptiveField:
        """After a product with a matrix of rows × our rows."""
        seen = weights != 0
        first = np.where(seen, self.first, NOWHERE).min(1)
        return ReceptiveField(first, np.where(seen, self.last, -NOWHERE).max(1), self.everywhere)

    def pooled(self, rows: int) -> ReceptiveField:
        """After pooling to so few rows that each covers a share of the image: they see it as a whole."""
        return ReceptiveField.empty(rows, everywhere=True)

    def joined(self, other: ReceptiveField) -> ReceptiveField:
        """Of a sum or a concatenation with another map of as many rows, or of one."""
        if len(other) != len(self):
            small, large = sorted((self, other), key=len)
            return large.joined(small.at([0] * len(large)))
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        return ReceptiveField(first, last, self.everywhere or other.everywhere)

    def _union(self, fields: Iterable[ReceptiveField]) -> ReceptiveField:
        return reduce(ReceptiveField.joined, fields)

    def size(self, row: int | None = None) -> int:
        """Rows of the image that a row, or the middle one, sees: 0 for none."""
        row = len(self) // 2 if row is None else row
        return max(int(self.last[row] - self.first[row]) + 1, 0)

    def full_size(self, image_rows: int) -> int | None:
        """The largest field that no border of an image of so many rows cuts; None if all are cut."""
        uncut = (self.first > 0) & (self.last < image_rows - 1) & (self.first <= self.last)
        return int((self.last - self.first)[uncut].max()) + 1 if uncut.any() else None

    def grid(self, image_rows: int) -> Grid | None:
        """Where the rows lie: the centres of their fields, where no border cuts them; None if all are cut.

        Rows after an upsampling see fields whose centres vary with their phase: the line through them is
        taken, and the mean of what is beside it.
        """
        uncut = np.flatnonzero((self.first > 0) & (self.last < image_rows - 1) & (self.first <= self.last))
        if len(uncut) < 2 or (np.diff(uncut) != 1).any():
            return None
        centres = (self.first + self.last)[uncut] / 2
        for period in (64, 32, 16, 8, 4, 2, 1):
            if len(uncut) > period:
                stride = (centres[period] - centres[0]) / period
                if stride == int(stride) and stride > 0:
                    break
        else:
            return None
        phases = len(uncut) // period * period
        offset = float(np.mean(centres[:phases] - stride * uncut[:phases]))
        return Grid(int(stride), offset)
