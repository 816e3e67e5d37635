import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from segtrain.backbones.vgg_atrous import AtrousVGG16

ORIGINAL = {"pool": 2, "fc6_kernel": 4, "fc6_dilations": (4,)}


def sizes_after_poolings(backbone, side):
    sizes, hooks = [], []
    for module in backbone.modules():
        if isinstance(module, nn.MaxPool2d):
            hooks.append(module.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1])))
    with torch.inference_mode():
        backbone(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return sizes


def test_the_sizes_after_each_pooling_of_a_321_pixel_crop():
    assert sizes_after_poolings(AtrousVGG16(width=1 / 32), 321) == [161, 81, 41, 41, 41]


def test_the_sizes_after_each_pooling_of_the_first_releases_306_pixel_crop():
    # Of which the last pixel is the backbone's own: 305 pixels have the same 39 labels.
    assert sizes_after_poolings(AtrousVGG16(width=1 / 32, **ORIGINAL), 305) == [154, 78, 40, 39, 39]


@pytest.mark.parametrize(("pixels", "cells"), [(8 * 38 + 1, 38), (8 * 38 + 2, 39), (8 * 38 + 9, 39)])
def test_poolings_of_2_padded_by_1_need_two_pixels_more_than_8k(pixels, cells):
    # Why the backbone adds a row and a column: without them 8k+1 pixels give k cells.
    x = torch.zeros(1, 1, pixels, pixels)
    for module in AtrousVGG16(width=1 / 32, **ORIGINAL).modules():
        if isinstance(module, nn.MaxPool2d):
            x = module(x)
    assert x.shape[-1] == cells


def test_the_first_releases_cells_lie_half_a_pixel_beside_8i():
    grids = AtrousVGG16(width=1 / 32, **ORIGINAL).feature_info.grids
    assert {stage: grid.offset for stage, grid in grids.items()} == {
        2: -0.5,
        4: -1.5,
        8: -3.5,
        16: 0.5,
        32: 0.5,
    }
    assert all(grid.offset == 0 for grid in AtrousVGG16(width=1 / 32).feature_info.grids.values())


@pytest.mark.parametrize(
    ("variant", "first", "last"),
    [
        ({}, -217, 217),  # 435 pixels around the cell
        ({"pool": 2, "fc6_kernel": 7, "fc6_dilations": (4,)}, -201, 202),  # 404 (section 3.1)
        (ORIGINAL, -153, 154),  # 308 (section 3.2)
        ({"fc6_dilations": (2,)}, -137, 137),  # 275: ASPP-S and ASPP-L of DeepLab v2
        ({"fc6_dilations": (4,)}, -153, 153),  # 307
        ({"fc6_dilations": (6,)}, -169, 169),  # 339
        ({"fc6_dilations": (8,)}, -185, 185),  # 371
        ({"fc6_dilations": (18,)}, -265, 265),  # 531
        ({"fc6_dilations": (24,)}, -313, 313),  # 627
    ],
)
def test_receptive_fields_are_those_of_the_paper(variant, first, last):
    backbone = AtrousVGG16(width=1 / 64, **variant).double().eval()
    for parameter in backbone.parameters():  # every pixel that is seen gets a positive gradient
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 1)
    for block in (backbone.block1, backbone.block2, backbone.block3, backbone.block4, backbone.block5):
        pool = block[-1]
        block[-1] = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, ceil_mode=True)
    backbone.normalize = nn.Identity()
    pixels = torch.ones(1, 3, 161, 801, dtype=torch.float64, requires_grad=True)
    backbone(pixels)[32][..., 10, 50].sum().backward()
    seen = pixels.grad[0, 0].sum(0).nonzero() - 8 * 50
    assert (seen.min(), seen.max()) == (first, last)


@pytest.fixture(scope="module")
def imagenet():
    torch.manual_seed(0)
    return torchvision.models.vgg16(weights=None).state_dict()


def test_pretrained_weights_are_decimated_from_the_classifier(imagenet):
    backbone = AtrousVGG16(fc6_dilations=(6, 12))
    backbone.load_state_dict(backbone.from_torchvision(imagenet))
    fc6 = imagenet["classifier.0.weight"].view(4096, 512, 7, 7)
    taps = fc6[:, :, ::3, ::3]
    # Every one of our filters is one of theirs, at every third tap, and fc7 reads the same ones.
    row = (taps.flatten(1) == backbone.fc6[0].weight[5].flatten()).all(1).nonzero().item()
    other = (taps.flatten(1) == backbone.fc6[0].weight[9].flatten()).all(1).nonzero().item()
    assert backbone.fc6[0].bias[5] == imagenet["classifier.0.bias"][row]
    assert backbone.fc7[0].weight[5, 9, 0, 0] == imagenet["classifier.3.weight"][row, other]
    assert torch.equal(backbone.fc6[1].weight, backbone.fc6[0].weight)
    assert torch.equal(backbone.block5[0].weight, imagenet["features.24.weight"])


@pytest.mark.parametrize(("kernel", "step"), [(4, 2), (7, 1)])
def test_a_4x4_fc6_takes_every_second_tap_and_a_7x7_all_of_them(imagenet, kernel, step):
    with torch.device("meta"):
        backbone = AtrousVGG16(pool=2, fc6_kernel=kernel, fc_channels=4096)
    converted = backbone.from_torchvision(imagenet)
    fc6 = imagenet["classifier.0.weight"].view(4096, 512, 7, 7)
    assert torch.equal(converted["fc6.0.weight"], fc6[..., ::step, ::step].flatten(1))
    assert torch.equal(converted["fc7.0.weight"][..., 0, 0], imagenet["classifier.3.weight"])


@pytest.mark.parametrize(("kernel", "dilation"), [(7, 4), (4, 8), (4, 4)])
def test_a_large_fc6_is_the_dilated_convolution_of_its_weights(kernel, dilation):
    torch.manual_seed(0)
    fc6 = AtrousVGG16(pool=2, width=1 / 32, fc6_kernel=kernel, fc6_dilations=(dilation,)).fc6[0]
    x = torch.rand(2, 16, 9, 11)
    weight, padding = fc6.weight.unflatten(1, (16, kernel, kernel)), dilation * (kernel - 1) // 2
    expected = nn.functional.conv2d(x, weight, fc6.bias, padding=padding, dilation=dilation)
    assert expected.shape[-2:] == (9, 11)
    assert torch.allclose(fc6(x), expected, atol=1e-5)


@pytest.mark.parametrize("side", [65, 129])
def test_with_dilation_conv5_is_the_strided_one_on_the_shared_cells(side):
    torch.manual_seed(0)
    net = AtrousVGG16(width=1 / 32).eval()
    with torch.inference_mode():
        x = net.block3(net.block2(net.block1(torch.rand(1, 3, side, side))))
        conv4, pool4, conv5 = net.block4[:-1](x), net.block4[-1], net.block5[:-1]
        dilation = conv5(pool4(conv4))
        strided = F.max_pool2d(conv4, pool4.kernel_size, 2, pool4.padding, ceil_mode=True)
        for conv in conv5[::2]:
            strided = F.relu(F.conv2d(strided, conv.weight, conv.bias, padding=1))
    assert torch.allclose(dilation[..., ::2, ::2], strided, atol=1e-6)
