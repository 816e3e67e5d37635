import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from segtrain.backbones.vgg_dilated import DilatedVGG16
from segtrain.layers.fc_conv import FCConv


def backbone(width=1 / 32, **keys):
    torch.manual_seed(0)
    return DilatedVGG16(width=width, **keys).eval()


def sizes_inside(net, height, width):
    """Widths before the first convolution and after each block and fc6."""
    sizes, hooks = [], []
    blocks = [net.block1, net.block2, net.block3, net.block4, net.block5, net.fc6]
    hooks = [b.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1])) for b in blocks]
    hooks.append(net.block1.register_forward_pre_hook(lambda _m, i: sizes.append(i[0].shape[-1])))
    with torch.inference_mode():
        net(torch.zeros(1, 3, height, width, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return sizes


@pytest.mark.parametrize(("padded", "cells"), [(500, 16), (628, 32), (852, 60), (900, 66), (1396, 128)])
def test_cells_are_those_of_the_released_nets_inputs(padded, cells):
    net = backbone(1 / 64)
    for width in (8 * cells - 14, 8 * cells - 7):  # the narrowest and the widest with so many cells
        sizes = sizes_inside(net, 1, width)
        assert (sizes[0], sizes[-1]) == (padded, cells)


def test_the_sizes_after_each_block_of_a_900_pixel_input():
    assert sizes_inside(backbone(1 / 64), 1, 521) == [900, 448, 222, 108, 102, 90, 66]


@pytest.mark.parametrize(("side", "cells"), [(1, 1), (2, 2), (8, 2), (9, 2), (10, 3), (96, 13), (97, 13)])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_8k_pixels_have_k_plus_1_cells_with_either_padding(side, cells, padding):
    with torch.inference_mode():
        out = backbone(1 / 64, padding=padding)(torch.zeros(1, 3, side, 1, dtype=torch.uint8))[32]
    assert out.shape[-2:] == (cells, 1)


def test_features_are_those_of_unpadded_convolutions_on_the_mirrored_image():
    net = backbone()
    images = torch.randint(0, 256, (1, 3, 210, 227), dtype=torch.uint8)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d | FCConv)]
    dilations = [1] * 10 + [2] * 3 + [4, 1]
    # 210 and 227 pixels have 28 and 30 cells, hence 14 and 13 pixels more than 186.
    x = F.pad(net.normalize(images), (186, 199, 186, 200), mode="reflect")
    for number, (conv, dilation) in enumerate(zip(convs, dilations, strict=True), start=1):
        kernel = {14: 7, 15: 1}.get(number, 3)
        weight = conv.weight.view(len(conv.weight), -1, kernel, kernel)
        x = F.relu(F.conv2d(x, weight, conv.bias, dilation=dilation))
        if number in (2, 4, 7):  # conv1_2, conv2_2, conv3_3
            x = F.max_pool2d(x, 2)
    with torch.inference_mode():
        features = net(images)[32]
    assert features.shape[-2:] == (28, 30)
    assert torch.allclose(features, x, atol=1e-5)


def test_the_receptive_field_is_380_and_cell_i_starts_186_before_pixel_8i():
    net = backbone(1 / 64).double()
    net.normalize = nn.Identity()
    for i in (1, 2, 3):
        net.get_submodule(f"block{i}")[-1] = nn.AvgPool2d(2)  # it reaches all that a maximum may
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    images = torch.ones(1, 3, 400, 1, dtype=torch.float64, requires_grad=True)
    net(images)[32][0, 0, 25, 0].backward()
    seen = images.grad[0, 0, :, 0].nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (8 * 25 - 186, 8 * 25 + 193)
    assert seen.numel() == 380


def test_zeros_give_the_same_cells_far_from_the_border():
    mirrored, zeros = backbone(), backbone(padding="zeros")
    zeros.load_state_dict(mirrored.state_dict())
    images = torch.randint(0, 256, (1, 3, 400, 400), dtype=torch.uint8)
    with torch.inference_mode():
        one, other = mirrored(images)[32], zeros(images)[32]
    assert one.shape == other.shape
    middle = (..., slice(24, 26), slice(24, 26))
    assert torch.allclose(one[middle], other[middle], atol=1e-5)
    assert not torch.allclose(one[..., 0, 0], other[..., 0, 0], atol=1e-3)


def test_pretrained_weights_are_the_whole_classifiers():
    with torch.device("meta"):
        state = torchvision.models.vgg16(weights=None).state_dict()
        net = DilatedVGG16()
    state["classifier.0.weight"] = torch.empty(4096, 25088).normal_()
    state["features.24.weight"] = torch.rand(512, 512, 3, 3)
    converted = net.from_torchvision(state)
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in net.state_dict().items()}
    assert torch.equal(converted["fc6.weight"], state["classifier.0.weight"])
    assert torch.equal(converted["block5.0.weight"], state["features.24.weight"])
