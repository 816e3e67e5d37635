import pytest
import torch
from torch import nn

from segtrain.backbones.xception import Xception65
from segtrain.layers.grid import Grid

STAGES = (4, 8, 16, 32)


def xception(width=1 / 16, **arguments):
    """In eval mode, with statistics of BatchNorm that are not the identity's."""
    torch.manual_seed(0)
    net = Xception65(width=width, **arguments)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net.eval()


def units(net):
    return [*net.entry, net.middle[0], *net.exit]


def test_parameters_are_as_many_as_in_the_papers_document():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    with torch.device("meta"):
        net = Xception65()
    assert count(net) == 37_867_312
    assert count(net.stem) == 19_488
    assert [count(u) for u in units(net)] == [53_696, 205_696, 1_457_360, 1_618_344, 3_104_384, 7_133_184]
    assert len(net.middle) == 16
    assert net.feature_info.channels == {4: 256, 8: 256, 16: 728, 32: 2048}


@pytest.mark.parametrize(
    ("output_stride", "strides", "rates"),
    [  # entry blocks 1 to 3, middle flow, exit blocks 1 and 2
        (32, [2, 2, 2, 1, 2, 1], [1, 1, 1, 1, 1, 1]),
        (16, [2, 2, 2, 1, 1, 1], [1, 1, 1, 1, 1, 2]),
        (8, [2, 2, 1, 1, 1, 1], [1, 1, 1, 2, 2, 4]),
    ],
)
def test_strides_and_rates_are_those_of_the_released_code(output_stride, strides, rates):
    net = Xception65(output_stride=output_stride, width=1 / 64)
    assert [u.convs[2].depthwise.stride[0] for u in units(net)] == strides
    for unit, rate in zip(units(net), rates, strict=True):
        assert [c.depthwise.dilation[0] for c in unit.convs] == [rate] * 3
        assert [c.depthwise.stride[0] for c in unit.convs[:2]] == [1, 1]
    assert net.feature_info.grids == {stage: Grid(min(stage, output_stride)) for stage in STAGES}


@pytest.mark.parametrize("output_stride", [8, 16])
def test_with_dilation_the_features_are_the_strided_ones_on_the_shared_cells(output_stride):
    net = xception()
    images = torch.randint(0, 256, (1, 3, 97, 129), dtype=torch.uint8)
    with torch.inference_mode():
        coarse = net(images)
        net.set_output_stride(output_stride)
        dense = net(images)
    for stage in STAGES:
        step = stage // min(stage, output_stride)
        assert coarse[stage].std() > 0.01
        assert torch.allclose(dense[stage][..., ::step, ::step], coarse[stage], atol=1e-5)


@pytest.mark.parametrize(
    ("output_stride", "side", "cells"),
    [
        (16, 513, (129, 65, 33, 33)),
        (8, 513, (129, 65, 65, 65)),
        (32, 225, (57, 29, 15, 8)),
        (8, 1, (1, 1, 1, 1)),
        (8, 2, (3, 2, 2, 2)),
    ],
)
def test_sizes_are_those_of_the_paper(output_stride, side, cells):
    net = Xception65(width=1 / 64, output_stride=output_stride).eval()
    with torch.inference_mode():
        features = net(torch.zeros(1, 3, side, 1, dtype=torch.uint8))
    assert tuple(features[stage].shape[-2] for stage in STAGES) == cells
    assert {stage: features[stage].shape[1] for stage in STAGES} == net.feature_info.channels


def test_the_deepest_cells_cover_the_last_pixel():
    net = Xception65(width=1 / 64).eval()
    for output_stride in (8, 16, 32):
        net.set_output_stride(output_stride)
        with torch.inference_mode():
            for side in (7, 16, 17, 18, 33, 34, 64):
                cells = net(torch.zeros(1, 3, side, 1))[32].shape[-2]
                assert cells == -(-(side - 1) // output_stride) + 1


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_the_receptive_field_is_1915_pixels_at_every_stride(output_stride, monkeypatch):
    net = Xception65(width=1 / 64, output_stride=output_stride).double().eval()
    for parameter in net.parameters():  # positive: every pixel that is seen gets a gradient
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 1)
    monkeypatch.setattr(net, "normalize", nn.Identity())
    pixels = torch.ones(1, 3, 1, 2049, dtype=torch.float64, requires_grad=True)
    features = net(pixels)[32]
    features[..., features.shape[-1] // 2].sum().backward()
    seen = pixels.grad[0, 0, 0].nonzero()
    assert seen.numel() == 1915
    assert seen.min() + seen.max() == 2048  # the middle cell lies on the middle pixel


def test_images_are_scaled_to_minus_1_to_1_and_early_features_come_without_relu():
    net = xception()
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 33, 33)
    assert torch.equal(net.normalize(images)[:, 0, 0, 0], torch.tensor([-1.0, 1.0]))
    with torch.inference_mode():
        features = net(torch.rand(1, 3, 65, 65) * 255)
    assert (features[4] < 0).any()  # before the leading ReLU of the strided convolution
    assert (features[16] < 0).any()
    assert (features[32] >= 0).all()  # the last unit ends with one
