"""Depthwise convolution with dilation, fast on the CPU as well."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DepthwiseConv(nn.Conv2d):
    """A k×k convolution of each channel alone, k odd; keeps the size at stride 1.

    oneDNN's fast depthwise convolution knows no dilation, and its slow one takes up to ten times as long.
    With dilation r, pixels of the same row and column modulo r are convolved among themselves, and
    without dilation. So on the CPU these r² small images are laid side by side, with zeros between them,
    convolved as one, and put back: the same products, summed in the same order.
    """

    def __init__(self, channels: int, kernel: int, *, stride: int = 1, dilation: int = 1):
        super().__init__(channels, channels, kernel, groups=channels, bias=False)
        self.set_stride(stride, dilation)

    def set_stride(self, stride: int, dilation: int) -> None:
        """Another stride and dilation for the same weights."""
        padding = dilation * (self.kernel_size[0] // 2)
        self.stride = (stride, stride)
        self.dilation, self.padding = (dilation, dilation), (padding, padding)

    def forward(self, x: Tensor) -> Tensor:
        plain = self.dilation == (1, 1) or self.stride != (1, 1)
        if plain or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        rate, margin = self.dilation[0], self.kernel_size[0] // 2
        batch, channels, height, width = x.shape
        rows, columns = -(-height // rate), -(-width // rate)  # of each small image
        x = F.pad(x, (0, columns * rate - width, 0, rows * rate - height)).permute(0, 2, 3, 1)
        x = x.reshape(batch, rows, rate, columns, rate, channels).permute(0, 2, 1, 4, 3, 5)
        x = F.pad(x, (0, 0, 0, margin, 0, 0, 0, margin))
        x = x.reshape(batch, rate * (rows + margin), rate * (columns + margin), channels)
        x = F.conv2d(x.permute(0, 3, 1, 2), self.weight, padding=margin, groups=channels)
        x = x.permute(0, 2, 3, 1).reshape(batch, rate, rows + margin, rate, columns + margin, channels)
        x = x[:, :, :rows, :, :columns].permute(0, 2, 1, 4, 3, 5)
        x = x.reshape(batch, rows * rate, columns * rate, channels)
        return x[:, :height, :width].contiguous().permute(0, 3, 1, 2)
