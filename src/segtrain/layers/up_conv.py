"""The up-convolution: a learned doubling of the size."""

from torch import nn


class UpConv(nn.ConvTranspose2d):
    """N×channels×h×w to N×out_channels×2h×2w by a k×k transposed convolution of stride 2; He-normal.

    He's N, the incoming nodes of a neuron, is channels·k²/4: a quarter of the taps meet a pixel.

    Args:
        channels, out_channels: of the input and the output; kernel: k, 2 or 3.
    """

    def __init__(self, channels: int, out_channels: int, kernel: int):
        padding = (kernel - 1) // 2
        super().__init__(channels, out_channels, kernel, stride=2, padding=padding, output_padding=kernel % 2)
        nn.init.normal_(self.weight, std=(2 / (channels * kernel**2 / 4)) ** 0.5)
        assert self.bias is not None
        nn.init.zeros_(self.bias)
