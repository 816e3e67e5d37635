import pytest
import torch
from torch.nn import functional as F

from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.separable import SeparableConv


@pytest.mark.parametrize(
    ("channels", "out_channels", "separable", "plain"),
    [
        (2048, 256, 542_720, 4_718_592),
        (304, 256, 80_560, 700_416),
        (256, 256, 67_840, 589_824),
    ],
)
def test_weights_are_k2_c_in_plus_c_in_c_out_instead_of_k2_c_in_c_out(
    channels, out_channels, separable, plain
):
    with torch.device("meta"):
        ours, full = SeparableConv(channels, out_channels, 3), ConvBNReLU(channels, out_channels, 3)
    assert 9 * channels + channels * out_channels == separable
    assert 9 * channels * out_channels == plain
    assert ours.depthwise.weight.numel() + ours.pointwise.weight.numel() == separable
    assert full[0].weight.numel() == plain
    # With a scale and a shift for each channel after both parts.
    assert sum(p.numel() for p in ours.parameters()) == separable + 2 * channels + 2 * out_channels


def test_it_is_a_convolution_whose_kernel_is_the_product_of_its_parts():
    torch.manual_seed(0)
    conv = SeparableConv(4, 6, 3, dilation=3, eps=1e-12, relu=False).eval()
    kernel = conv.pointwise.weight * conv.depthwise.weight.transpose(0, 1)  # 6 × 4 × 3 × 3
    x = torch.randn(2, 4, 13, 9)
    assert torch.allclose(conv(x), F.conv2d(x, kernel, padding=3, dilation=3), atol=1e-6)


def test_relu_follows_both_parts_or_neither():
    x = torch.randn(1, 4, 9, 9)
    for relu in (True, False):
        conv = SeparableConv(4, 1, 3, relu=relu).eval()
        torch.nn.init.constant_(conv.pointwise.weight, -1.0)
        torch.nn.init.constant_(conv.pointwise_bn.weight, -1.0)
        # The sum of what the depthwise part gives: none is negative after a ReLU.
        assert (conv(x) > 0).any()
        assert (conv(x) < 0).any() != relu
        torch.nn.init.constant_(conv.pointwise_bn.weight, 1.0)
        assert conv(x).eq(0).all() == relu


def test_another_stride_and_dilation_keep_the_weights_and_the_size_rule():
    conv = SeparableConv(2, 3, 3).eval()
    x = torch.randn(1, 2, 17, 12)
    same = conv(x)
    conv.set_stride(2, 1)
    assert torch.allclose(conv(x), same[..., ::2, ::2], atol=1e-6)
    conv.set_stride(1, 4)
    assert conv(x).shape == same.shape
    assert not torch.allclose(conv(x), same, atol=1e-3)


def test_both_parts_start_from_the_released_codes_truncated_normals():
    conv = SeparableConv(2048, 256, 3)
    for weight, std in ((conv.depthwise.weight, 0.33), (conv.pointwise.weight, 0.06)):
        assert weight.abs().max() <= 2 * std
        assert weight.std().item() == pytest.approx(0.8796 * std, rel=0.02)  # cut at two stds
