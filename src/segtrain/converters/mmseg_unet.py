"""U-Net as mmsegmentation has it (`UNet` of 5 stages under an FCNHead), for its weights."""

from itertools import pairwise

from torch import nn

from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.init import he_normal
from segtrain.layers.width import scaled
from segtrain.models.unet import CHANNELS, UNet


class MMSegUNet(UNet):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×H×W}; mmsegmentation takes
    sides that are multiples of 16 alone, on which they are its own.

    Up-convolutions are bilinear resizing to twice the size and a 1×1 convolution with BatchNorm and ReLU,
    and a 3×3 convolution comes before the scores.

    Args:
        num_classes: C.
        in_channels: of the images; 1 takes RGB too, by its luminance.
        width: multiplies every number of channels; below 1 for tests only.

    Example:
        >>> MMSegUNet(num_classes=2)(images)["out"]
    """

    def __init__(self, *, num_classes: int, in_channels: int = 3, width: float = 1.0):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, batch_norm=True, dropout=0.0, width=width
        )
        channels = [scaled(c, width) for c in CHANNELS]
        self.up = nn.ModuleList(up(below, above) for below, above in pairwise(reversed(channels)))
        self.head = ConvBNReLU(channels[0], channels[0], 3)
        he_normal(self)


def up(channels: int, out_channels: int) -> nn.Sequential:
    """Twice the size, and other channels."""
    larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(larger, ConvBNReLU(channels, out_channels, 1))
