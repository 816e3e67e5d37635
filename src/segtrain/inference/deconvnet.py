"""DeconvNet's windows."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.contracts import Network, Rows
from segtrain.data.crops.boxes import Box, grid_boxes, read_boxes
from segtrain.errors import InputError
from segtrain.inference.rows import BLOCK, rows_of
from segtrain.sizes import interpolate_rows


class DeconvNetWindows:
    """Windows of any size and place, each scored at one size, their score maps put together.

    DeconvNet, Noh et al. 2015, section 4.3: the 50 best of the image's proposals, aggregated by
    the pixelwise maximum (their sum is the paper's other choice; here the mean, so that pixels in
    few windows keep the scale of the others). The limit, the side and the smallest window are
    the released code's. Scores of pixels that no window covers are zero for every class. Windows lie
    anywhere, so the scores of the whole image exist.

    Args:
        side: every window is resized to side × side pixels for the network.
        aggregate: `max` or `mean` of the scores.
        boxes: a CSV of proposals (`segtrain.data.crops.boxes`), or null: a grid of several scales.
        limit: windows an image, the best first; smallest: the least shorter side, in pixels.
        batch_size: windows that the network takes at a time.

    Raises:
        InputError: a number below 1, or boxes that cannot be read.
    """

    def __init__(
        self,
        *,
        side: int = 224,
        aggregate: Literal["max", "mean"] = "max",
        boxes: str | None = None,
        limit: int = 50,
        smallest: int = 112,
        batch_size: int = 8,
    ):
        numbers = {"side": side, "limit": limit, "smallest": smallest, "batch_size": batch_size}
        for key, value in numbers.items():
            if value < 1:
                raise InputError(f"inference.{key}={value}", do="give at least 1")
        self.side, self.aggregate, self.limit, self.smallest = side, aggregate, limit, smallest
        self.batch_size, self.path = batch_size, boxes
        self.proposals = read_boxes(boxes) if boxes else None

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        pairs = zip(images, names, strict=True)
        return rows_of(torch.stack([self._image(network, image, name) for image, name in pairs]))

    def _image(self, network: Network, image: Tensor, name: str) -> Tensor:
        height, width = image.shape[-2:]
        total: Tensor | None = None
        cover = image.new_zeros(height, width, dtype=torch.float32)
        for boxes in self._batches(self._boxes(name, height, width)):
            windows = torch.cat([self._resized(image[:, rows(b), columns(b)]) for b in boxes])
            for box, scores in zip(boxes, network(windows)(0, self.side), strict=True):
                if total is None:
                    empty = -torch.inf if self.aggregate == "max" else 0.0
                    total = scores.new_full((len(scores), height, width), empty)
                self._add(scores, total[:, rows(box), columns(box)])
                cover[rows(box), columns(box)] += 1
        assert total is not None
        if self.aggregate == "mean":
            return total / cover.clamp(min=1)
        return total.masked_fill_(cover == 0, 0.0)

    def _add(self, scores: Tensor, part: Tensor) -> None:
        """Puts a window's scores C×side×side into its part of the image's, C×h×w, block by block."""
        size = part.shape[-2:]
        for start in range(0, size[0], BLOCK):
            block = part[:, start : start + BLOCK]
            stop = start + block.shape[1]
            added = interpolate_rows(rows_of(scores[None]), self.side, size, start, stop, align_corners=False)
            block.copy_(torch.maximum(block, added[0]) if self.aggregate == "max" else block + added[0])

    def _boxes(self, name: str, height: int, width: int) -> list[Box]:
        """The windows of an image, inside it, best first; at least one, the whole image."""
        if self.proposals is None:
            boxes = grid_boxes(height, width)
        elif name in self.proposals:
            boxes = [box.inside(height, width) for box in self.proposals[name]]
        else:
            raise InputError(
                f"inference.boxes={self.path} must have boxes for every image, got none for {name}",
                do="add its proposals",
            )
        large = [box for box in boxes if min(box.width, box.height) >= self.smallest]
        return large[: self.limit] or [Box(0, 0, width, height)]

    def _batches(self, boxes: list[Box]) -> list[list[Box]]:
        return [boxes[i : i + self.batch_size] for i in range(0, len(boxes), self.batch_size)]

    def _resized(self, window: Tensor) -> Tensor:
        size = (self.side, self.side)
        return F.interpolate(window[None].float(), size, mode="bilinear", align_corners=False)


def rows(box: Box) -> slice:
    return slice(box.y, box.y + box.height)


def columns(box: Box) -> slice:
    return slice(box.x, box.x + box.width)
