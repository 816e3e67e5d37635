"""Scores of images row by row, from the top down, so that they need not exist all at once."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor

from segtrain.contracts import Rows
from segtrain.sizes import interpolate_rows

BLOCK = 64  # rows that are looked at together: 21 classes of 4000 columns are 22 MB


def rows_of(scores: Tensor) -> Rows:
    """The rows of scores N×C×H×W that exist."""
    return lambda start, stop: scores[..., start:stop, :]


def row_blocks(rows: Rows, height: int) -> Iterator[Tensor]:
    """All the rows of an image, N×C×64×W at a time."""
    return (rows(start, min(start + BLOCK, height)) for start in range(0, height, BLOCK))


def all_rows(rows: Rows, height: int, change: Callable[[Tensor], Tensor] = lambda block: block) -> Tensor:
    """All the rows as one N×C×H×W, each block changed before it is put there."""
    scores: Tensor | None = None
    start = 0
    for block in map(change, row_blocks(rows, height)):
        if scores is None:
            scores = block.new_empty(*block.shape[:2], height, block.shape[-1])
        scores[..., start : start + block.shape[-2], :] = block
        start += block.shape[-2]
    assert scores is not None
    return scores


def resized(rows: Rows, seen: Sequence[int], size: Sequence[int]) -> Rows:
    """The rows of maps of `seen` (height, width) at another size, bilinear."""
    if tuple(seen) == tuple(size):
        return rows
    return partial(interpolate_rows, rows, seen[0], tuple(size), align_corners=False)


def mean(views: list[Rows]) -> Rows:
    """The mean of several maps of one size."""
    return lambda start, stop: cast(Tensor, sum(view(start, stop) for view in views)) / len(views)


def probabilities(rows: Rows) -> Rows:
    """Of logits."""
    return lambda start, stop: rows(start, stop).softmax(1)


def logits(probabilities: Tensor) -> Tensor:
    """Finite logits whose softmax they are."""
    return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()


class Strips:
    """The rows of strips N×C×h×W that follow one another from the top, each made when it is needed.

    Strips above the last `start` are forgotten: neither `start` nor `stop` may fall.
    """

    def __init__(self, strips: Iterator[Tensor]):
        self.strips, self.top = strips, 0
        self.held: list[Tensor] = []

    def __call__(self, start: int, stop: int) -> Tensor:
        while True:
            while self.held and self.top + self.held[0].shape[-2] <= start:
                self.top += self.held.pop(0).shape[-2]
            if self.top + sum(strip.shape[-2] for strip in self.held) >= stop:
                break
            self.held.append(next(self.strips))
        parts, top = [], self.top
        for strip in self.held:
            parts.append(strip[..., max(start - top, 0) : stop - top, :])
            top += strip.shape[-2]
        return torch.cat(parts, -2)
