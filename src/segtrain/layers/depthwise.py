"""Depthwise convolution with dilation."""

from torch import nn


class DepthwiseConv(nn.Conv2d):
    """A k×k convolution of each channel alone, k odd; keeps the size at stride 1."""

    def __init__(self, channels: int, kernel: int, *, stride: int = 1, dilation: int = 1):
        super().__init__(channels, channels, kernel, groups=channels, bias=False)
        self.set_stride(stride, dilation)

    def set_stride(self, stride: int, dilation: int) -> None:
        """Another stride and dilation for the same weights."""
        padding = dilation * (self.kernel_size[0] // 2)
        self.stride = (stride, stride)
        self.dilation, self.padding = (dilation, dilation), (padding, padding)
