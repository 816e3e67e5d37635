import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.errors import InputError
from segtrain.models.frrn import FullResolutionUnit

VARIANTS = pytest.mark.parametrize("name", ["frrn_a", "frrn_b"])
IMAGENET_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)


def whole(name, classes=19):
    with torch.device("meta"):
        return build_model(name, num_classes=classes)


def small(name, width=1 / 8, **overrides):
    torch.manual_seed(0)
    return build_model(name, num_classes=3, width=width, **overrides)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("name", "parameters"), [("frrn_a", 17_746_803), ("frrn_b", 24_755_699)])
def test_parameters_at_cityscapes_19_classes(name, parameters):
    assert count(whole(name)) == parameters


def test_parameters_of_the_stages_are_those_of_the_papers_table():
    a, b = whole("frrn_a"), whole("frrn_b")
    down = [549_600, 2_737_280, 4_893_760, 5_557_312]
    assert [count(s) for s in a.stages] == [*down, 1_783_360, 1_451_584, 476_992]
    assert [count(s) for s in b.stages] == [*down, 5_557_312, 1_783_360, 1_451_584, 1_451_584, 476_992]
    for net in (a, b):
        assert count(net.start) == 3_696 + 124_992
        assert [count(net.split), count(net.end), count(net.score)] == [1_600, 82_368 + 83_328, 931]


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("frrn_a", [2] * 3 + [4] * 4 + [8] * 2 + [16] * 2 + [8] * 2 + [4] * 2 + [2] * 2),
        (
            "frrn_b",
            [2] * 3 + [4] * 4 + [8] * 2 + [16] * 2 + [32] * 2 + [16] * 2 + [8] * 2 + [4] * 2 + [2] * 2,
        ),
    ],
)
def test_the_residual_stream_keeps_full_resolution_while_the_other_goes_down_and_up(name, scales):
    net, streams = small(name).eval(), []
    for module in net.modules():
        if isinstance(module, FullResolutionUnit):
            module.register_forward_hook(lambda _m, _i, out: streams.append([x.shape for x in out]))
    with torch.inference_mode():
        net(torch.zeros(1, 3, 64, 96))
    assert [64 // y[-2] for y, _ in streams] == scales
    assert [96 // y[-1] for y, _ in streams] == scales
    assert all(z == (1, 4, 64, 96) for _, z in streams)  # 32 maps at the width of 1/8


@VARIANTS
def test_the_residual_stream_has_32_maps_throughout(name):
    net = whole(name)
    assert net.split[0].out_channels == 32
    units = [m for m in net.modules() if isinstance(m, FullResolutionUnit)]
    assert all(u.residual.out_channels == 32 for u in units)
    assert net.end[0].convs[0][0].in_channels == 96 + 32


def test_a_unit_repeats_what_it_adds_and_reads_the_maximum_of_what_it_pools():
    unit = FullResolutionUnit(4, 2, 6, 4).eval()
    y, z = torch.rand(1, 4, 3, 3), torch.rand(1, 2, 12, 12)
    new_y, new_z = unit(y, z)
    pooled = z.unfold(2, 4, 4).unfold(3, 4, 4).amax((-1, -2))
    assert torch.equal(new_y, unit.convs(torch.cat([y, pooled], 1)))
    added = unit.residual(new_y).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.allclose(new_z, z + added)


def test_the_split_has_a_norm_and_no_relu_and_a_sum_is_not_rectified():
    net = small("frrn_a").eval()
    assert [type(layer) for layer in net.split] == [nn.Conv2d, nn.BatchNorm2d]
    assert net.start(torch.randn(1, 3, 32, 32)).lt(0).any()


@pytest.mark.parametrize(("name", "pixels", "deepest"), [("frrn_a", 312, 3), ("frrn_b", 584, 4)])
def test_the_receptive_field_of_the_deepest_stage(monkeypatch, name, pixels, deepest):
    # Weights of 1 and average pooling: the gradient then shows all that can matter.
    monkeypatch.setattr(F, "max_pool2d", F.avg_pool2d)
    net = small(name, width=1 / 32).double().eval()
    net.normalize = net.score = nn.Identity()  # they compute in float32
    for index, stage in enumerate(net.stages):
        if index <= deepest:
            stage.resample = nn.AvgPool2d(2)
    for conv in net.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.constant_(conv.weight, 1 / conv.in_channels)
    streams = []
    net.stages[deepest].register_forward_hook(lambda _m, _i, out: streams.append(out[0]))
    images = torch.ones(1, 3, 32, 32 * 21, dtype=torch.float64, requires_grad=True)
    net(images)
    streams[0][..., streams[0].shape[-1] // 2].sum().backward()
    assert images.grad.ne(0).any(2)[0, 0].sum() == pixels


@pytest.mark.parametrize(("name", "stride"), [("frrn_a", 16), ("frrn_b", 32)])
def test_any_size_is_padded_by_the_mean_colour_and_cropped(name, stride):
    net, images = small(name).eval(), torch.rand(1, 3, stride + 5, 2 * stride - 3) * 255
    padded = IMAGENET_MEAN.expand(1, 3, 2 * stride, 2 * stride).clone()
    padded[..., : stride + 5, : 2 * stride - 3] = images
    with torch.inference_mode():
        out, whole_cells = net(images)["out"], net(padded)["out"]
    assert whole_cells.shape[-2:] == (2 * stride, 2 * stride)
    assert torch.allclose(out, whole_cells[..., : stride + 5, : 2 * stride - 3], atol=1e-5)


def test_weights_start_he_uniform_with_gain_1_where_no_relu_follows():
    net = small("frrn_a", width=1 / 2)
    unit = net.stages[2].units[0]
    with_relu = [net.start[0][0], net.start[1].convs[0][0], unit.convs[1][0]]
    without = [net.start[1].convs[1][0], net.split[0], unit.residual, net.end[0].shortcut, net.score]
    for gain, convs in ((2, with_relu), (1, without)):
        for conv in convs:
            std = math.sqrt(gain / conv.weight[0].numel())
            assert conv.weight.std().item() == pytest.approx(std, rel=0.1)
            assert conv.weight.abs().max().item() <= std * math.sqrt(3)


@VARIANTS
def test_checkpointing_changes_neither_gradients_nor_running_statistics(name):
    images = torch.rand(2, 3, 64, 40) * 255
    plain, again = small(name), small(name, checkpoint=True)
    for net in (plain, again):
        net(images)["out"].square().mean().backward()
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for (buffer, one), (_, other) in zip(plain.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(one, other), buffer


def test_as_many_stages_up_as_down_are_refused():
    with pytest.raises(InputError, match=r"model\.up has 1 stages, model\.down 1"):
        small("frrn_a", down=[[96, 1]], up=[[96, 1]])
