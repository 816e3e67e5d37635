"""Depthwise-separable convolution, with dilation (DeepLab v3+, section 3.1)."""

from torch import Tensor, nn

from segtrain.layers.depthwise import DepthwiseConv

DEPTHWISE_STD, POINTWISE_STD = 0.33, 0.06  # TensorFlow's DeepLab, model.py


class SeparableConv(nn.Module):
    """A k×k convolution of each channel alone, then a 1×1 convolution over the channels.

    k²·C_in + C_in·C_out weights instead of k²·C_in·C_out, and a BatchNorm after each of the two.
    Keeps the size at stride 1.

    Args:
        channels, out_channels: C_in, C_out; kernel: k, odd.
        stride, dilation: of the depthwise convolution.
        eps: of both BatchNorms.
        relu: after each BatchNorm (ASPP, the decoder, Xception's last unit), or none at all
            (Xception's other units, which begin with one).
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
        relu: bool = True,
    ):
        super().__init__()
        self.depthwise = DepthwiseConv(channels, kernel, stride=stride, dilation=dilation)
        self.depthwise_bn = nn.BatchNorm2d(channels, eps)
        self.pointwise = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.pointwise_bn = nn.BatchNorm2d(out_channels, eps)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()
        for conv, std in ((self.depthwise, DEPTHWISE_STD), (self.pointwise, POINTWISE_STD)):
            nn.init.trunc_normal_(conv.weight, std=std, a=-2 * std, b=2 * std)

    def set_stride(self, stride: int, dilation: int) -> None:
        """Another stride and dilation for the same weights."""
        self.depthwise.set_stride(stride, dilation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.depthwise_bn(self.depthwise(x)))
        return self.relu(self.pointwise_bn(self.pointwise(x)))
