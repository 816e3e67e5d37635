"""DilatedNet's tiles: what its released prediction script does."""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import Network, Rows, TakesBorders
from segtrain.errors import InputError
from segtrain.inference.rows import Strips, logits, rows_of
from segtrain.layers.reflect import reflect_pad
from segtrain.sizes import interpolate_rows

STRIDE = 8  # of the networks' cells


class DilatedNetTiles:
    """Tiles side by side, each seen with what lies around it; their probabilities are interpolated.

    Yu and Koltun 2016, as the released predict.py: the image is mirrored by 186 pixels on every side,
    and tiles of one size are cut out; what a tile lacks on the right and below is the tile's own mirror
    image. The network pads nothing, its context module starts anew in every tile, and the softmax of
    the cells, not their logits, is interpolated with cell i on pixel 8·i. A network that enlarges its
    logits itself, as Dilation10, needs no interpolation. Of the network's outputs no more than a row of
    tiles exists at full size.

    Departs: where a side of the image is a multiple of a tile's, the script interpolates the last 7
    pixels with memory beyond its array; here the last cell is repeated.

    Args:
        height, width: of a tile with its margin, 372 more than what it labels: 900×900 on VOC, 900×1100
            on CamVid, 1396×1396 on Cityscapes (the released deploy.prototxt files).

    Raises:
        InputError: sides other than 372 + 8k; on use, a network that is no DilatedNet with a mirrored
            border.

    Example:
        >>> DilatedNetTiles(height=900, width=900)(network, images, names)(0, images.shape[-2])  # N×C×H×W
    """

    def __init__(self, *, height: int = 900, width: int = 900):
        for name, side in (("height", height), ("width", width)):
            if side <= 372 or (side - 372) % STRIDE:
                raise InputError(
                    f"inference.{name} must be 372 + 8k pixels, got {side}", do="900 is that of VOC"
                )
        self.height, self.width = height, width

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        if not isinstance(network, TakesBorders):
            raise InputError(
                "inference=dilatednet must be applied to a DilatedNet itself, got an inference around it",
                do="leave out the inference around it",
            )
        height, width = images.shape[-2:]
        strips = self._strips(network, images)
        first = next(strips)
        strips = chain([first], strips)
        if first.shape[-2] == self.height - 2 * network.margin:  # enlarged by the network itself
            return Strips(logits(strip[..., :width]) for strip in strips)
        return self._interpolated(torch.cat(list(strips), -2), height, width)

    def _strips(self, network: TakesBorders, images: Tensor) -> Iterator[Tensor]:
        """The probabilities of a row of tiles at a time."""
        margin = network.margin
        height, width = images.shape[-2:]
        around = reflect_pad(images, (margin, margin, margin, margin))
        for top in range(0, height, self.height - 2 * margin):
            row = around[..., top : top + self.height, :]
            lefts = range(0, width, self.width - 2 * margin)
            tiles = (row[..., left : left + self.width] for left in lefts)
            yield torch.cat([self._tile(network, tile) for tile in tiles], -1)

    def _tile(self, network: TakesBorders, tile: Tensor) -> Tensor:
        below, right = self.height - tile.shape[-2], self.width - tile.shape[-1]
        return network.on_bordered(reflect_pad(tile, (0, right, 0, below))).softmax(1)

    def _interpolated(self, cells: Tensor, height: int, width: int) -> Rows:
        """The rows of probabilities of cells, made when they are asked for."""
        count, across = (-(-(side - 1) // STRIDE) + 1 for side in (height, width))
        lacking = max(count - cells.shape[-2], 0), max(across - cells.shape[-1], 0)
        cells = F.pad(cells[..., :count, :across], (0, lacking[1], 0, lacking[0]), mode="replicate")
        whole = STRIDE * (count - 1) + 1, STRIDE * (across - 1) + 1

        def rows(start: int, stop: int) -> Tensor:
            seen = interpolate_rows(rows_of(cells), count, whole, start, stop, align_corners=True)
            return logits(seen[..., :width])

        return rows
