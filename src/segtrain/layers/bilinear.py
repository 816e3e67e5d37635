"""Bilinear interpolation as a transposed convolution (FCN, section 3.3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def bilinear_kernel(size: int) -> Tensor:
    """The size×size tent, float32: with factor f = (size+1)//2, weight 1 - |i - centre| / f."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    tent = 1 - (torch.arange(size) - centre).abs() / factor
    return torch.outer(tent, tent)


class BilinearDeconv(nn.Module):
    """Upsamples N×C×h×w by `stride` to N×C×(stride(h-1)+kernel)×(stride(w-1)+kernel).

    Args:
        channels: C, the classes.
        kernel: side of the kernel, 2·stride or 2·stride-1.
        stride: the factor.
        learned: the kernel is a dense C×C×k×k parameter that starts as the bilinear diagonal
            (the paper's 2× layers); otherwise it stays bilinear (the authors' released code),
            is no parameter, and is stored in no checkpoint.
    """

    def __init__(self, channels: int, kernel: int, stride: int, *, learned: bool = False):
        super().__init__()
        self.channels, self.kernel, self.stride = channels, kernel, stride
        tent = bilinear_kernel(kernel)
        if learned:
            weight = torch.zeros(channels, channels, kernel, kernel)
            weight[range(channels), range(channels)] = tent
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", tent.expand(channels, 1, -1, -1).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        groups = self.channels // self.weight.shape[1]
        return F.conv_transpose2d(x, self.weight, stride=self.stride, groups=groups)
