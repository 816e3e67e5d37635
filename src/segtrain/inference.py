"""Ways to apply a network to pictures: `inference=whole`, `inference=dihedral`, ...

Each is called with the network (pictures N×3×H×W to logits N×C×H×W), a batch of pictures of one
size and their names, and gives logits N×C×H×W.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.data.boxes import Box, grid_boxes, read_boxes
from segtrain.errors import InputError

Network = Callable[[Tensor], Tensor]
Inference = Callable[[Network, Tensor, list[str]], Tensor]


class Whole:
    """The whole picture at once."""

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Tensor:
        return network(images)


class Scaled:
    """The whole picture at another size, its scores enlarged again (bilinear), as FRRN.

    Args:
        scale: sides of what the network sees over those of the picture.

    Raises:
        InputError: a scale that is not positive.
    """

    def __init__(self, *, scale: float):
        if not scale > 0:
            raise InputError(f"inference.scale={scale}", do="give a number above 0, as 0.5")
        self.scale = scale

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Tensor:
        size = images.shape[-2:]
        seen = [max(round(pixels * self.scale), 1) for pixels in size]
        # As in training, every pixel of the smaller picture is the mean of those that it stands for.
        smaller = F.interpolate(images.float(), seen, mode="area")
        return F.interpolate(network(smaller), size, mode="bilinear", align_corners=False)


class Averaged:
    """The mean of the class probabilities over the picture's four right-angle turns, each mirrored too.

    U-Net (Ronneberger et al. 2015, Table 1) averages over seven turned versions of the picture, which
    they are is not said; FusionNet (Quan et al. 2016) over those that it trains on.
    """

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Tensor:
        total = 0
        for turns in range(4):
            turned = images.rot90(turns, (2, 3))
            upright = network(turned).softmax(1)
            mirrored = network(turned.flip(3)).softmax(1).flip(3)
            total = total + (upright + mirrored).rot90(-turns, (2, 3))
        return logits(total / 8)


class WatershedFusion:
    """A membrane's probability fused with its own watershed lines (`segtrain.watershed`).

    Deep Contextual Networks, Chen et al. 2016; for two classes.

    Args:
        inner: the way that the network is applied before.
        weight, sigma: see `watershed_fusion`.
        membrane: the class of the membranes, 0 or 1.

    Raises:
        InputError: a weight outside of 0..1; on use, a network with other than two classes.
    """

    def __init__(
        self, *, inner: Inference, weight: float = 0.8, sigma: float = 2.0, membrane: Literal[0, 1] = 0
    ):
        if not 0 <= weight <= 1:
            raise InputError(f"inference.weight={weight}", do="give a number from 0 to 1")
        self.inner, self.weight, self.sigma, self.membrane = inner, weight, sigma, membrane

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Tensor:
        probabilities = self.inner(network, images, names).softmax(1)
        classes = probabilities.shape[1]
        if classes != 2:
            raise InputError(
                f"inference=watershed: the network has {classes} classes, not membrane and cell",
                do="use inference=whole",
            )
        from segtrain.watershed import watershed_fusion  # and scipy with it, for this alone

        maps = probabilities[:, self.membrane].cpu().numpy()
        fused = [watershed_fusion(p, weight=self.weight, sigma=self.sigma) for p in maps]
        membrane = torch.from_numpy(np.stack(fused)).to(images.device)
        pair = (membrane, 1 - membrane) if self.membrane == 0 else (1 - membrane, membrane)
        return logits(torch.stack(pair, 1))


class Windows:
    """Windows of any size and place, each scored at one size, their score maps put together.

    DeconvNet, Noh et al. 2015, section 4.3: the 50 best of the picture's proposals, aggregated by
    the pixelwise maximum (their sum is the paper's other choice; here the mean, so that pixels in
    few windows keep the scale of the others). The limit, the side and the smallest window are
    the released code's. Scores of pixels that no window covers are zero for every class.

    Args:
        side: every window is resized to side × side pixels for the network.
        aggregate: `max` or `mean` of the scores.
        boxes: a CSV of proposals (`segtrain.data.boxes`), or null: a grid of several scales.
        limit: windows a picture, the best first; smallest: the least shorter side, in pixels.
        batch_size: windows a pass.
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
        self.side, self.aggregate, self.limit, self.smallest = side, aggregate, limit, smallest
        self.batch_size, self.path = batch_size, boxes
        self.proposals = read_boxes(boxes) if boxes else None

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Tensor:
        pairs = zip(images, names, strict=True)
        return torch.stack([self._picture(network, image, name) for image, name in pairs])

    def _picture(self, network: Network, image: Tensor, name: str) -> Tensor:
        height, width = image.shape[-2:]
        total, cover = None, image.new_zeros(height, width, dtype=torch.float32)
        for boxes in self._batches(self._boxes(name, height, width)):
            windows = torch.cat([self._resized(image[:, rows(b), columns(b)]) for b in boxes])
            for box, scores in zip(boxes, network(windows), strict=True):
                if total is None:
                    empty = -torch.inf if self.aggregate == "max" else 0.0
                    total = scores.new_full((len(scores), height, width), empty)
                size = (box.height, box.width)
                scores = F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]
                part = total[:, rows(box), columns(box)]
                part.copy_(torch.maximum(part, scores) if self.aggregate == "max" else part + scores)
                cover[rows(box), columns(box)] += 1
        if self.aggregate == "mean":
            return total / cover.clamp(min=1)
        return total.masked_fill_(cover == 0, 0.0)

    def _boxes(self, name: str, height: int, width: int) -> list[Box]:
        """The windows of a picture, inside it, best first; at least one, the whole picture."""
        if self.proposals is None:
            boxes = grid_boxes(height, width)
        elif name in self.proposals:
            boxes = [box.inside(height, width) for box in self.proposals[name]]
        else:
            raise InputError(f"inference.boxes={self.path}: no boxes for {name}", do="add its proposals")
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


def logits(probabilities: Tensor) -> Tensor:
    """Finite logits whose softmax they are."""
    return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()
