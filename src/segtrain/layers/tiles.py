"""Large images through a network without padding, tile by tile (U-Net's overlap-tile strategy)."""

from collections.abc import Callable

from torch import Tensor


def stitch(network: Callable[[Tensor], Tensor], x: Tensor, *, tile: int, margin: int, step: int) -> Tensor:
    """network(x), computed window by window, so that memory is bounded by the tile, not by the image.

    Equal to `network` on the whole of x where it pads nothing and `step` is a multiple of its strides:
    every window's poolings fall on the image's.

    Args:
        network: takes N×C×H×W to N×K×(H-2·margin)×(W-2·margin).
        x: N×C×H×W, the image with its surroundings.
        tile: side of a window's output; step: from one tile to the next, at most `tile`.
    """
    height, width = (pixels - 2 * margin for pixels in x.shape[-2:])
    window, overlap = tile + 2 * margin, tile - step
    whole: Tensor | None = None
    for top in range(0, max(height - overlap, 1), step):
        for left in range(0, max(width - overlap, 1), step):
            part = network(x[..., top : top + window, left : left + window])
            if whole is None:
                whole = part.new_empty(*part.shape[:2], height, width)
            whole[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
    assert whole is not None
    return whole
