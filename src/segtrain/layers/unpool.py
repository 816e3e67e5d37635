"""Max pooling that remembers where its maxima lay, and unpooling that puts values back there.

The places are DeconvNet's "switches" (Noh et al. 2015) and SegNet's "pooling indices"
(Badrinarayanan et al. 2017, section 3).
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Switches(NamedTuple):
    """Where the maxima of a pooling lay."""

    indices: Tensor  # N×C×⌈H/2⌉×⌈W/2⌉, int64: row · W + column
    size: Sequence[int]  # H, W


def pool(x: Tensor) -> tuple[Tensor, Switches]:
    """2×2 maxima of N×C×H×W with stride 2, rounded up as Caffe does: N×C×⌈H/2⌉×⌈W/2⌉."""
    maxima, indices = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
    return maxima, Switches(indices, x.shape[-2:])


def unpool(x: Tensor, switches: Switches) -> Tensor:
    """N×C×⌈H/2⌉×⌈W/2⌉ to N×C×H×W: every value where its maximum lay, zero elsewhere.

    Equal to F.max_unpool2d, which refuses deterministic mode and makes float32 of bfloat16.
    """
    height, width = switches.size
    flat = x.new_zeros(*x.shape[:2], height * width)
    return flat.scatter(2, switches.indices.flatten(2), x.flatten(2)).unflatten(2, switches.size)


class UnpoolingDecoder(nn.ModuleList):
    """Undoes an encoder's poolings, the last one first: N×C×h×w to N×C'×H×W, as before the first.

    After every unpooling come 3×3 convolutions, each with BatchNorm and ReLU, of which the last
    narrows to the channels that the next unpooling wants.

    Args:
        convolution: nn.Conv2d, or nn.ConvTranspose2d.
        pooled: channels of the encoder's poolings, in the encoder's order.
        counts: convolutions after each unpooling, in the decoder's order.
    """

    def __init__(self, convolution: type[nn.Module], pooled: Sequence[int], counts: Sequence[int]):
        super().__init__()
        wanted = [*reversed(pooled), pooled[0]]
        for i, count in enumerate(counts):
            block, channels = nn.Sequential(), wanted[i]
            for out in [channels] * (count - 1) + [wanted[i + 1]]:
                block.append(convolution(channels, out, 3, padding=1))
                block.extend([nn.BatchNorm2d(out), nn.ReLU(inplace=True)])
            self.append(block)

    def forward(self, x: Tensor, switches: Sequence[Switches]) -> Tensor:
        for block, where in zip(self, reversed(switches), strict=True):
            x = block(unpool(x, where))
        return x
