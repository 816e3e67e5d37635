import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.layers.depthwise import DepthwiseConv


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 6, 18])
@pytest.mark.parametrize("size", [(17, 17), (12, 23), (1, 5)])
def test_it_is_torchs_convolution_and_so_are_its_gradients(kernel, dilation, size):
    torch.manual_seed(0)
    conv = DepthwiseConv(4, kernel, dilation=dilation).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    wanted = F.conv2d(x, conv.weight, padding=dilation * (kernel // 2), dilation=dilation, groups=4)
    ours = conv(x)
    weights = torch.randn_like(wanted)
    theirs = torch.autograd.grad((wanted * weights).sum(), [x, conv.weight])
    for a, b in zip(torch.autograd.grad((ours * weights).sum(), [x, conv.weight]), theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    assert torch.allclose(ours, wanted, atol=1e-12)


def test_a_stride_is_torchs():
    conv = DepthwiseConv(3, 3, stride=2, dilation=2)
    x = torch.randn(1, 3, 11, 8)
    assert torch.equal(conv(x), nn.Conv2d.forward(conv, x))
    assert conv(x).shape == (1, 3, 6, 4)
