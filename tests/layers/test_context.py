import pytest
import torch
from torch import nn

from segtrain.errors import InputError
from segtrain.layers.context import ContextModule, identity_

DILATION7, DILATION8 = (1, 1, 2, 4, 8, 1), (1, 1, 2, 4, 8, 16, 1)
DILATION10 = (1, 1, 2, 4, 8, 16, 32, 64, 1)
LARGE = (2, 2, 4, 8, 16, 32, 32)


def basic(num_classes, dilations=DILATION8):
    return ContextModule(num_classes, dilations, [1] * len(dilations))


def large(num_classes):
    torch.manual_seed(0)
    return ContextModule(num_classes, DILATION8, LARGE, pad_once=True)


@pytest.mark.parametrize(
    ("module", "count"),
    [
        (lambda: basic(21), 28_392),
        (lambda: basic(11), 7_832),
        (lambda: basic(11, DILATION7), 6_732),
        (lambda: basic(19, DILATION10), 29_792),
        (lambda: large(21), 6_803_139),
    ],
)
def test_parameters_are_as_many_as_in_the_released_nets(module, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in module().parameters()) == count


def test_the_large_modules_channels_are_the_released_ones():
    with torch.device("meta"):
        convs = [layer for layer in large(21).layers if isinstance(layer, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [42, 42, 84, 168, 336, 672, 672, 21]
    assert [conv.padding[0] for conv in convs] == [33, 0, 0, 0, 0, 0, 0, 0]


def receptive_field(layers, side):
    """Side of the square of inputs on which the middle output depends, by gradient."""
    for parameter in layers.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, 1, side, side, requires_grad=True)
    out = layers(x)
    out[0, 0, out.shape[-2] // 2, out.shape[-1] // 2].backward()
    rows, columns = x.grad[0, 0].nonzero().T
    assert rows.unique().numel() == columns.unique().numel()
    return rows.max().item() - rows.min().item() + 1


def test_the_receptive_field_after_each_layer_is_the_papers():
    layers = basic(1).layers
    fields = [receptive_field(layers[: 2 * i + 1], 81) for i in range(8)]
    assert fields == [3, 5, 9, 17, 33, 65, 67, 67]


def test_the_receptive_fields_of_the_shorter_and_the_longer_module():
    assert receptive_field(basic(1, DILATION7).layers, 81) == 35
    assert receptive_field(basic(1, DILATION10).layers, 265) == 259


def test_basic_starts_by_truncating_at_zero_and_changing_nothing_else():
    scores = torch.randn(2, 5, 9, 7)
    module = basic(5)
    assert torch.equal(module(scores), scores.clamp(min=0))
    assert torch.equal(module(scores.abs()), scores.abs())
    positive = scores.amax(1) > 0
    assert torch.equal(module(scores).argmax(1)[positive], scores.argmax(1)[positive])


@pytest.mark.parametrize(("ins", "out_channels"), [(5, 10), (10, 10), (10, 40), (160, 5)])
def test_the_identity_of_unequal_channels_is_the_papers_formula(ins, out_channels):
    weight, classes = torch.empty(out_channels, ins, 3, 3), 5
    identity_(weight, classes, 0.0)
    for b in range(out_channels):
        for a in range(ins):
            same = a * classes // ins == b * classes // out_channels
            assert weight[b, a, 1, 1] == pytest.approx(classes / out_channels if same else 0)
    weight[..., 1, 1] = 0
    assert weight.eq(0).all()


def test_large_starts_as_the_identity_within_its_noise():
    scores = torch.rand(1, 7, 12, 9)
    module = large(7)
    with torch.inference_mode():
        assert torch.corrcoef(torch.stack([module(scores).flatten(), scores.flatten()]))[0, 1] > 0.9
        for layer in module.layers[::2]:
            identity_(layer.weight, 7, 0.0)
        assert torch.allclose(module(scores), scores, atol=1e-5)


def test_larges_noise_is_that_of_the_released_filler():
    module = large(7)
    for layer, multiplier in zip(module.layers[::2], (*LARGE, 1), strict=True):
        group = torch.arange(7).repeat_interleave(multiplier)
        others = group[:, None] != torch.arange(7).repeat_interleave(layer.in_channels // 7)
        assert layer.weight[others].std().item() == pytest.approx(0.01 / multiplier, rel=0.1)
        assert layer.bias.eq(0).all()


@pytest.mark.parametrize("module", [basic(2), large(2), basic(2, DILATION10)])
def test_sizes_stay_as_they_are(module):
    with torch.inference_mode():
        for size in ((66, 66), (1, 1), (2, 47)):
            assert module(torch.zeros(1, 2, *size)).shape == (1, 2, *size)


def test_a_single_padding_agrees_with_that_of_every_layer_far_from_the_border():
    torch.manual_seed(0)
    each = basic(3)
    for parameter in each.parameters():
        nn.init.normal_(parameter, std=0.3)
    once = ContextModule(3, DILATION8, [1] * 7, pad_once=True)
    once.load_state_dict(each.state_dict())
    scores = torch.randn(1, 3, 70, 70)
    one, other = each(scores), once(scores)
    middle = slice(33, 37)
    assert torch.allclose(one[..., middle, middle], other[..., middle, middle], rtol=1e-4)
    assert not torch.allclose(one, other, rtol=1e-4)


def test_scores_stay_in_float32_under_autocast():
    scores = torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(basic(3)(scores), scores)


def test_another_number_of_multipliers_is_refused():
    with pytest.raises(InputError, match=r"model\.multipliers: 1 numbers for 2 dilations"):
        ContextModule(3, [1, 2], [1])
