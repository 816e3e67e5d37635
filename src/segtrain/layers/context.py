"""The context module of dilated convolutions on score maps.

"Multi-Scale Context Aggregation by Dilated Convolutions", Yu and Koltun, ICLR 2016,
https://arxiv.org/abs/1511.07122, section 3 and table 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segtrain.errors import InputError

NOISE = 0.01  # std of Large's other taps, divided by the layer's multiplier (released filler)


class ContextModule(nn.Module):
    """Scores N×C×h×w to scores N×C×h×w, always in float32: logits are compared with one another.

    A 3×3 convolution for each dilation, truncated at zero, then a 1×1 without truncation. It
    starts as max(scores, 0): Basic exactly, Large up to the noise that separates its channels.

    Args:
        num_classes: C.
        dilations: of the 3×3 layers; the receptive field is 1 + 2·their sum.
        multipliers: of the 3×3 layers: outputs as multiples of C. Ones are the paper's Basic.
        pad_once: zeros for all layers are put around the input (the released VOC net's 33), where
            otherwise each layer pads by its dilation.

    Raises:
        InputError: not as many multipliers as dilations.
    """

    def __init__(
        self,
        num_classes: int,
        dilations: Sequence[int],
        multipliers: Sequence[int],
        *,
        pad_once: bool = False,
    ):
        super().__init__()
        if len(multipliers) != len(dilations):
            raise InputError(
                f"model.multipliers: {len(multipliers)} numbers for {len(dilations)} dilations",
                do="give one a 3×3 layer",
            )
        layers: list[nn.Module] = []
        channels = num_classes
        paddings = [sum(dilations)] + [0] * (len(dilations) - 1) if pad_once else dilations
        for dilation, multiplier, padding in zip(dilations, multipliers, paddings, strict=True):
            out_channels = num_classes * multiplier
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=padding, dilation=dilation))
            layers.append(nn.ReLU(inplace=True))
            channels = out_channels
        layers.append(nn.Conv2d(channels, num_classes, 1))
        self.layers = nn.Sequential(*layers)
        basic = set(multipliers) == {1}
        for conv in layers[::2]:
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            noise = 0.0 if basic else NOISE * num_classes / conv.out_channels
            identity_(conv.weight, num_classes, noise)
            nn.init.zeros_(conv.bias)

    def forward(self, scores: Tensor) -> Tensor:
        with torch.autocast(scores.device.type, enabled=False):
            return self.layers(scores.float())


def identity_(weight: Tensor, groups: int, noise: float) -> None:
    """Fills a convolution's weight, b×a×k×k, so that every group of channels is passed on.

    C groups lie side by side in the a inputs and in the b outputs. The centre tap between
    channels of one group is C / b; all else is Gaussian of std `noise` (section 3).
    """
    out_channels, ins, size, _ = weight.shape
    with torch.no_grad():
        weight.normal_(std=noise) if noise else weight.zero_()
        same = (
            torch.arange(out_channels)[:, None] * groups // out_channels == torch.arange(ins) * groups // ins
        )
        weight[:, :, size // 2, size // 2].masked_fill_(same.to(weight.device), groups / out_channels)
