import pytest
import torch
import torchvision
from torch import nn

from segtrain.backbones.vgg_large_fov import LargeFOVVGG16
from segtrain.models.deeplab_v1 import DeepLabV1


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return DeepLabV1(backbone=LargeFOVVGG16(width=1 / 32), num_classes=3).eval()


@pytest.mark.parametrize(("side", "cells"), [(321, 41), (513, 65), (306, 40), (9, 2), (1, 1)])
def test_sizes_are_those_of_the_papers_table(net, side, cells):
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, side, 9, dtype=torch.uint8))["out"].shape == (1, 3, cells, 2)


def test_the_sizes_after_each_pooling_of_a_321_pixel_crop(net):
    sizes, hooks = [], []
    for module in net.modules():
        if isinstance(module, nn.MaxPool2d):
            hooks.append(module.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1])))
    with torch.inference_mode():
        net(torch.zeros(1, 3, 321, 321))
    for hook in hooks:
        hook.remove()
    assert sizes == [161, 81, 41, 41, 41]


def test_cell_i_lies_on_pixel_8i(net):
    # Shifting the picture by 8 pixels shifts the scores by one cell, far from the borders.
    picture = torch.rand(1, 3, 513, 521) * 255
    with torch.inference_mode():
        one, other = (net(p)["out"] for p in (picture[..., :513], picture[..., 8:]))
    middle = slice(29, 35)
    assert torch.allclose(one[..., middle, 30:36], other[..., middle, 29:35], atol=1e-4)


def test_the_classifier_starts_from_a_gaussian_of_deviation_001():
    net = DeepLabV1(backbone=LargeFOVVGG16(width=1 / 4), num_classes=21)
    assert net.score.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert net.score.bias.eq(0).all()


def test_pretrained_weights_are_decimated_from_the_classifier():
    state = torchvision.models.vgg16(weights=None).state_dict()
    backbone = LargeFOVVGG16()
    backbone.load_state_dict(backbone.from_torchvision(state))
    fc6 = state["classifier.0.weight"].view(4096, 512, 7, 7)
    taps = fc6[:, :, ::3, ::3]
    # Every one of our filters is one of theirs, at every third tap, and fc7 reads the same ones.
    row = (taps.flatten(1) == backbone.fc6.weight[5].flatten()).all(1).nonzero().item()
    other = (taps.flatten(1) == backbone.fc6.weight[9].flatten()).all(1).nonzero().item()
    assert backbone.fc6.bias[5] == state["classifier.0.bias"][row]
    assert backbone.fc7.weight[5, 9, 0, 0] == state["classifier.3.weight"][row, other]
    assert torch.equal(backbone.block5[0].weight, state["features.24.weight"])
