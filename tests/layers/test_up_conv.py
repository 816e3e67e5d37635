import pytest
import torch

from segtrain.layers.up_conv import UpConv


@pytest.mark.parametrize("kernel", [2, 3])
def test_an_up_convolution_doubles_the_size_and_keeps_the_variance_that_a_relu_halves(kernel):
    torch.manual_seed(0)
    up, x = UpConv(64, 64, kernel), torch.randn(1, 64, 31, 20)
    y = up(x)
    assert y.shape == (1, 64, 62, 40)
    assert y.var().item() == pytest.approx(2, rel=0.1)
