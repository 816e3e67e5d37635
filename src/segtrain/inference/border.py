"""A border of one colour around images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segtrain.input_spec import MEAN_COLOUR


def bordered(
    images: Tensor,
    size: Sequence[int],
    *,
    top: int = 0,
    left: int = 0,
    colour: Sequence[float] = MEAN_COLOUR,
) -> Tensor:
    """Images N×C×H×W on a canvas of `size` (height, width) of one colour, `top` and `left` from its corner.

    Bytes stay bytes where the colour is whole numbers, else the canvas is float32. Of images that do not
    have as many channels as the colour, the canvas is each image's own mean.
    """
    height, width = images.shape[-2:]
    if tuple(size) == (height, width):
        return images
    if len(colour) == images.shape[1]:
        canvas = torch.tensor(colour, device=images.device).view(1, -1, 1, 1)
    else:
        canvas = images.float().mean((-2, -1), keepdim=True).round()
    whole = not any(value % 1 for value in colour)
    canvas = canvas.to(images.dtype if whole or images.is_floating_point() else torch.float32)
    large = canvas.expand(len(images), -1, *size).contiguous()
    large[..., top : top + height, left : left + width] = images
    return large
