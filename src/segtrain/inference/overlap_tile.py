"""U-Net's overlapping tiles."""

from collections.abc import Iterator

from torch import Tensor

from segtrain.contracts import Inference, Network, Rows
from segtrain.errors import InputError
from segtrain.inference.rows import Strips
from segtrain.inference.whole import Whole
from segtrain.layers.reflect import reflect_pad
from segtrain.layers.tiles import stitch


class OverlapTile:
    """Tiles side by side, each seen with a margin of what lies around it, at the image's edge mirrored:
    U-Net's overlap-tile strategy (Ronneberger et al. 2015, Figure 2), for any network.

    Equal to the whole image where the network sees no further than the margin and both numbers are
    multiples of its stride. Of the scores no more than one row of tiles exists.

    Args:
        tile: side of a tile in pixels; margin: how much the network sees on every side of it.
        base: the inference applied to a tile with its margin.

    Raises:
        InputError: a tile or a margin that is none.
    """

    def __init__(self, *, tile: int, margin: int, base: Inference | None = None):
        if tile < 1 or margin < 0:
            raise InputError(
                f"inference.tile={tile} with inference.margin={margin}", do="give pixels, as 384 and 96"
            )
        self.tile, self.margin, self.base = tile, margin, base or Whole()

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        return Strips(self._strips(network, images, names))

    def _strips(self, network: Network, images: Tensor, names: list[str]) -> Iterator[Tensor]:
        """The logits of a row of tiles at a time, N×C×tile×W."""
        margin, height = self.margin, images.shape[-2]
        around = reflect_pad(images, (margin, margin, margin, margin))

        def middle(window: Tensor) -> Tensor:
            rows, columns = (side - margin for side in window.shape[-2:])
            return self.base(network, window, names)(margin, rows)[..., margin:columns]

        for top in range(0, height, self.tile):
            row = around[..., top : top + self.tile + 2 * margin, :]
            yield stitch(middle, row, tile=self.tile, margin=margin, step=self.tile)
