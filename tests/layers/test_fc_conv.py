import pytest
import torch
from torch import nn

from segtrain.layers.fc_conv import FCDeconv


@pytest.mark.parametrize("size", [(1, 1), (4, 2)])
def test_a_fully_connected_deconvolution_equals_the_transposed_convolution(size):
    layer = FCDeconv(4, 6, 3)
    nn.init.normal_(layer.bias)
    deconv = nn.ConvTranspose2d(4, 6, 3)
    deconv.weight.data = layer.weight.data.view(6, 3, 3, 4).permute(3, 0, 1, 2)
    deconv.bias.data = layer.bias.data
    x = torch.rand(2, 4, *size).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(layer(x), deconv(x), atol=1e-6)


def test_it_has_as_many_parameters_as_the_transposed_convolution():
    with torch.device("meta"):
        layer = FCDeconv(4096, 512, 7)
    assert sum(p.numel() for p in layer.parameters()) == 102_760_960
