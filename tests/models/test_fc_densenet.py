import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.errors import InputError
from segtrain.layers.dense_block import DenseBlock, PreActivation

# Maps in the stack after each dense block: those of the authors' code. The paper's Table 2 is 16
# short from the bottleneck on, as their README says: it prints 880, 1072, 800 and 368 for 103.
STACKS = {
    "fc_densenet56": [96, 144, 192, 240, 288, 336, 384, 336, 288, 240, 192],
    "fc_densenet67": [128, 208, 288, 368, 448, 528, 608, 528, 448, 368, 288],
    "fc_densenet103": [112, 192, 304, 464, 656, 896, 1088, 816, 576, 384, 256],
}
VARIANTS = pytest.mark.parametrize("name", sorted(STACKS))


def whole(name, classes=11):
    with torch.device("meta"):
        return build_model(name, num_classes=classes)


def small(name="fc_densenet56", **overrides):
    torch.manual_seed(0)
    return build_model(name, num_classes=3, width=1 / 8, **overrides)


def blocks(net):
    return [*net.down, net.bottleneck, *net.up]


@VARIANTS
def test_the_stacks_are_those_of_the_authors_code(name):
    growth = 12 if name == "fc_densenet56" else 16
    stacks = [b.layers[0].conv.in_channels + growth * len(b.layers) for b in blocks(whole(name))]
    assert stacks == STACKS[name]


@pytest.mark.parametrize(
    ("name", "count"),
    [("fc_densenet56", 1_376_795), ("fc_densenet67", 3_463_243), ("fc_densenet103", 9_322_091)],
)
def test_parameters_at_camvids_11_classes(name, count):
    net = whole(name)
    assert sum(p.numel() for p in net.parameters()) == count


def test_parameters_with_running_statistics_are_the_papers_9_4_million():
    net = whole("fc_densenet103")
    statistics = sum(b.numel() for k, b in net.named_buffers() if "running" in k)
    assert sum(p.numel() for p in net.parameters()) + statistics == 9_425_163


@VARIANTS
def test_the_name_is_the_number_of_convolutions(name):
    convolutions = [m for m in whole(name).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == int(name.removeprefix("fc_densenet"))


def test_parameters_of_the_parts_of_fc_densenet103():
    net = whole("fc_densenet103")

    def count(modules):
        return [sum(p.numel() for p in m.parameters()) for m in modules]

    assert count(net.down) == [42_112, 105_200, 245_392, 549_120, 967_296]
    assert count(net.transitions_down) == [12_880, 37_440, 93_328, 216_688, 432_304]
    assert count([net.first, net.bottleneck, net.score]) == [1_344, 1_682_160, 2_827]
    assert count(net.transitions_up) == [518_640, 331_968, 230_560, 113_008, 57_680]
    assert count(net.up) == [1_724_160, 1_063_040, 523_376, 245_360, 126_208]


def test_only_the_maps_that_a_block_made_go_up():
    net = whole("fc_densenet103")
    assert [t.deconv.in_channels for t in net.transitions_up] == [240, 192, 160, 112, 80]
    assert all(t.deconv.in_channels == t.deconv.out_channels for t in net.transitions_up)


def test_sizes_on_a_camvid_image():
    net, heights = small().eval(), []
    for module in net.modules():
        if isinstance(module, DenseBlock):
            module.register_forward_hook(lambda _m, _i, out: heights.append(tuple(out[0].shape[-2:])))
    with torch.inference_mode():
        out = net(torch.zeros(1, 3, 360, 480, dtype=torch.uint8))["out"]
    down = [(360, 480), (180, 240), (90, 120), (45, 60), (22, 30)]
    assert heights == [*down, (11, 15), *reversed(down)]
    assert out.shape == (1, 3, 360, 480)


def test_a_transition_up_crops_2n_plus_1_cells_about_the_centre():
    transition = small().transitions_up[0]
    channels = transition.deconv.in_channels
    maps = torch.rand(1, channels, 4, 4)
    out = transition((8, 9), maps[:, :2], maps[:, 2:])
    whole = transition.deconv(maps)
    assert whole.shape[-2:] == (9, 9)
    assert torch.equal(out, whole[..., :8, :])
    # A side of one pixel is not pooled: its three upsampled cells are cropped to the middle one.
    out = transition((8, 1), maps[..., :1])
    assert torch.equal(out, transition.deconv(maps[..., :1])[..., :8, 1:2])


@pytest.mark.parametrize(
    ("name", "pixels"), [("fc_densenet56", 538), ("fc_densenet67", 664), ("fc_densenet103", 1622)]
)
def test_the_receptive_field_of_the_bottleneck(monkeypatch, name, pixels):
    # Weights of 1 and average pooling: the gradient then shows all that can matter.
    monkeypatch.setattr(F, "max_pool2d", F.avg_pool2d)
    net = build_model(name, num_classes=2, width=1 / 32).double().eval()
    net.normalize = nn.Identity()  # this computes in float32, and so does the score
    monkeypatch.setattr(net.score, "forward", lambda *maps: torch.cat(maps, 1))
    for conv in net.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.constant_(conv.weight, 1 / conv.in_channels)
    deepest = []
    net.bottleneck.register_forward_hook(lambda _m, _i, out: deepest.append(out))
    images = torch.ones(1, 3, 32, 32 * 53, dtype=torch.float64, requires_grad=True)
    net(images)
    torch.cat(deepest[0], 1)[..., 26].sum().backward()
    assert images.grad.ne(0).any(2)[0, 0].sum() == pixels


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 47), (31, 33), (45, 63)])
def test_every_size_keeps_its_size(height, width):
    with torch.inference_mode():
        assert small().eval()(torch.zeros(1, 3, height, width))["out"].shape == (1, 3, height, width)


def test_weights_start_he_uniform_and_biases_at_zero():
    torch.manual_seed(0)
    net = build_model("fc_densenet103", num_classes=11, width=1 / 2)
    for conv in (net.first, net.bottleneck.layers[3].conv, net.transitions_up[0].deconv, net.score):
        bound = math.sqrt(6 / (conv.in_channels * conv.kernel_size[0] ** 2))
        assert conv.weight.abs().max().item() == pytest.approx(bound, rel=0.05)
        assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert conv.bias.eq(0).all()


def test_dropout_follows_every_convolution_of_blocks_and_transitions_down_only():
    net = whole("fc_densenet103")
    rates = [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.2] * (sum(len(b.layers) for b in blocks(net)) + 5)


def test_checkpointing_changes_neither_gradients_nor_running_statistics():
    images = torch.rand(2, 3, 64, 40) * 255
    plain, again = small(), small(checkpoint=True)
    for net in (plain, again):
        torch.manual_seed(1)  # of dropout
        net(images)["out"].square().mean().backward()
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for (name, one), (_, other) in zip(plain.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(one, other), name


def test_batch_statistics_cover_every_norm_and_take_any_checkpoint():
    one, other = small().eval(), small(batch_statistics=True).eval()
    other.load_state_dict(one.state_dict())
    assert all(m.batch_statistics for m in other.modules() if isinstance(m, PreActivation))
    images = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode():
        before = other(images)["out"]
        assert not torch.allclose(one(images)["out"], before)
        for module in other.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 7
        assert torch.equal(other(images)["out"], before)


def test_an_even_number_of_blocks_is_refused():
    with pytest.raises(InputError, match=r"model\.layers=.* 2 blocks"):
        small(layers=[4, 4])
