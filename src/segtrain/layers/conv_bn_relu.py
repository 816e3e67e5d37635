"""The unit of the networks since 2016: convolution, BatchNorm, ReLU."""

from torch import nn


class ConvBNReLU(nn.Sequential):
    """A k×k convolution without bias, BatchNorm and ReLU; He-normal. Keeps the size at stride 1.

    Args:
        channels, out_channels: of the input and the output; kernel: k, odd.
        stride, dilation: of the convolution.
        eps: of the BatchNorm.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        eps: float = 1e-5,
    ):
        padding = dilation * (kernel // 2)
        conv = nn.Conv2d(channels, out_channels, kernel, stride, padding, dilation, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(out_channels, eps), nn.ReLU(inplace=True))
