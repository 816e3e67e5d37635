"""A network applied to an image at several scales (DeepLab v2, section 3.2)."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

LogitNetwork = Callable[[Tensor], dict[str, Tensor]]


def over_scales(network: LogitNetwork, images: Tensor, scales: Sequence[float]) -> dict[str, Tensor]:
    """The element-wise maximum of the score maps at `scales`, each resized to that at scale 1.

    Args:
        network: images to {"out": logits}, cell i on pixel stride·i.
        images: N×3×H×W, uint8 or float.
        scales: 1 among them; it gives the maps their size.

    Returns:
        `out`: the maximum; and the maps that it was taken of: `scale_100`, `scale_75`, ... A map
        at scale 1/2 (1/4, ...) is given as it came, at twice (four times) the stride.
    """
    maps, own = [], {}
    whole = network(images)["out"]
    for scale in scales:
        scores = resized = whole
        if scale != 1:
            size = [_cells(side, scale) for side in images.shape[-2:]]
            scores = network(resample(images, size, 1 / scale))["out"]
            resized = resample(scores, whole.shape[-2:], scale)
        halved = scale < 1 and math.log2(scale).is_integer()
        own[f"scale_{round(100 * scale)}"] = scores if halved else resized
        maps.append(resized)
    return {"out": torch.stack(maps).amax(0)} | own


def over_stretched_scales(
    network: LogitNetwork, images: Tensor, scales: Sequence[float]
) -> dict[str, Tensor]:
    """As `over_scales`, with cells in the middle of their shares of the image (kazuto1011/deeplab-pytorch).

    Every map has the size of that at scale 1.
    """
    whole, maps = network(images)["out"], {}
    for scale in scales:
        scores = whole
        if scale != 1:
            size = [math.floor(scale * side) for side in images.shape[-2:]]
            # Not the sizes' quotient but the scale itself is the step, where any pixel is left.
            factor = scale if min(size) else None
            one = None if min(size) else [max(side, 1) for side in size]
            scaled = F.interpolate(images.float(), one, factor, mode="bilinear", align_corners=False)
            scores = network(scaled)["out"]
            scores = F.interpolate(scores, whole.shape[-2:], mode="bilinear", align_corners=False)
        maps[f"scale_{round(100 * scale)}"] = scores
    return {"out": torch.stack(list(maps.values())).amax(0)} | maps


def resample(x: Tensor, size: Sequence[int], step: float) -> Tensor:
    """N×C×h×w bilinearly at positions 0, step, 2·step, ... in float32; `size` of them (height, width).

    Unlike a resizing to given sizes it keeps every cell on its pixel, whatever the image's size.
    Positions beyond the last cell take its value.
    """
    with torch.autocast(x.device.type, enabled=False):
        rows, columns = (_tents(n, of, step, x.device) for n, of in zip(size, x.shape[-2:], strict=True))
        return rows @ x.float() @ columns.T


def _cells(pixels: int, scale: float) -> int:
    """How many positions 0, 1/scale, 2/scale, ... reach the last pixel: whole numbers can be exported."""
    share = Fraction(scale).limit_denominator()
    return (share.numerator * (pixels - 1) + share.denominator - 1) // share.denominator + 1


def _tents(count: int, cells: int, step: float, device: torch.device) -> Tensor:
    """The count×cells matrix of linear interpolation."""
    positions = (torch.arange(count, device=device) * float(step)).clamp(max=cells - 1)
    distances = (positions[:, None] - torch.arange(cells, device=device)).abs()
    return (1 - distances).clamp(min=0)
