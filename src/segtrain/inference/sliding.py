"""Sliding windows."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import Inference, Network, Rows
from segtrain.errors import InputError
from segtrain.inference.border import bordered
from segtrain.inference.rows import Strips, logits
from segtrain.inference.whole import Whole


class Sliding:
    """Windows of one size that overlap, their class probabilities averaged, as PSPNet (Zhao et al. 2017).

    As in the authors' PyTorch code (semseg, tool/test.py) the last window of a row and of a column is
    shifted inwards, and an image smaller than the window lies in the middle of a border of the mean
    colour, as in its training; their Caffe code has the border to the right and below. Of the scores no
    more rows exist than one row of windows covers.

    Args:
        window: side of the windows in pixels; stride: from one to the next, at most `window`.
        batch_size: windows of each image that the network takes at a time.
        base: the inference applied to the windows.

    Raises:
        InputError: a stride that leaves gaps.
    """

    def __init__(self, *, window: int, stride: int, batch_size: int = 4, base: Inference | None = None):
        if not 0 < stride <= window:
            raise InputError(
                f"inference.stride must be from 1 to inference.window={window}, got {stride}",
                do="two thirds of the window are usual",
            )
        if batch_size < 1:
            raise InputError(
                f"inference.batch_size must be at least 1, got {batch_size}", do="1 takes the least memory"
            )
        self.window, self.stride, self.batch_size = window, stride, batch_size
        self.base = base or Whole()

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        height, width = images.shape[-2:]
        top, left = (max(self.window - side, 0) // 2 for side in (height, width))
        size = max(height, self.window), max(width, self.window)
        strips = self._strips(network, bordered(images, size, top=top, left=left), names)
        rows = Strips(strip[..., left : left + width] for strip in strips)
        return lambda start, stop: rows(top + start, top + stop)

    def _strips(self, network: Network, images: Tensor, names: list[str]) -> Iterator[Tensor]:
        """The logits of the rows that no further window touches, a row of windows at a time."""
        height, width = images.shape[-2:]
        tops, lefts = (offsets(side, self.window, self.stride) for side in (height, width))
        in_column = covers(tops, self.window, height, images.device)
        in_row = covers(lefts, self.window, width, images.device)
        total: Tensor | None = None
        for top, following in pairwise([*tops, height]):
            row = images[..., top : top + self.window, :]
            for left, seen in self._windows(network, row, lefts, names):
                if total is None:
                    total = seen.new_zeros(*seen.shape[:2], self.window, width)
                total[..., left : left + self.window] += seen
            assert total is not None
            done = following - top
            cover = torch.outer(in_column[top:following], in_row).to(total)
            yield logits(total[..., :done, :] / cover)
            total = F.pad(total[..., done:, :], (0, 0, 0, done))

    def _windows(
        self, network: Network, row: Tensor, lefts: list[int], names: list[str]
    ) -> Iterator[tuple[int, Tensor]]:
        """The class probabilities N×C×h×w of each window of a row, and its left edge."""
        for i in range(0, len(lefts), self.batch_size):
            chunk = lefts[i : i + self.batch_size]
            windows = torch.cat([row[..., left : left + self.window] for left in chunk])
            scores = self.base(network, windows, names * len(chunk))(0, self.window).softmax(1)
            yield from zip(chunk, scores.chunk(len(chunk)), strict=True)


def offsets(side: int, window: int, stride: int) -> list[int]:
    """Where windows begin along a side that is at least as long: ceil((side - window) / stride) + 1."""
    last = side - window
    return [*range(0, last, stride), last]


def covers(starts: list[int], window: int, side: int, device: torch.device | None = None) -> Tensor:
    """int64: how many windows cover each pixel of a side."""
    count = torch.zeros(side, dtype=torch.int64, device=device)
    for start in starts:
        count[start : start + window] += 1
    return count
