import pytest
import torch
from torch import nn

from segtrain import build_model
from segtrain.backbones.vgg_atrous import AtrousVGG16
from segtrain.engine.checkpoint import initialise
from segtrain.errors import InputError
from segtrain.models import deeplab_v1
from segtrain.models.deeplab_v1 import DeepLabV1, DeepLabV1MSc
from segtrain.sizes import upsample_logits

ORIGINAL = {"pool": 2, "fc6_kernel": 4, "fc6_dilations": (4,)}
VARIANTS = [
    {},
    {"pool": 2, "fc6_kernel": 7, "fc6_dilations": (4,)},
    {"pool": 2, "fc6_kernel": 4, "fc6_dilations": (8,)},
    ORIGINAL,
]


def deeplab(**backbone):
    torch.manual_seed(0)
    return DeepLabV1(backbone=AtrousVGG16(width=1 / 32, **backbone), num_classes=3).eval()


@pytest.fixture(scope="module")
def net():
    return deeplab()


@pytest.fixture(scope="module")
def msc():
    torch.manual_seed(0)
    return DeepLabV1MSc(backbone=AtrousVGG16(width=1 / 32), num_classes=3, width=1 / 32).eval()


@pytest.mark.parametrize(("side", "cells"), [(321, 41), (513, 65), (306, 40), (9, 2), (1, 1)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sizes_are_those_of_the_papers_table(variant, side, cells):
    with torch.inference_mode():
        out = deeplab(**variant)(torch.zeros(1, 3, side, 9, dtype=torch.uint8))["out"]
    assert out.shape == (1, 3, cells, 2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_cell_i_lies_on_pixel_8i(variant):
    # Shifting the image by 8 pixels shifts the scores by one cell, far from the borders.
    image = torch.rand(1, 3, 513, 521) * 255
    net = deeplab(**variant)
    with torch.inference_mode():
        one, other = (net(p)["out"] for p in (image[..., :513], image[..., 8:]))
    middle = slice(29, 35)
    assert torch.allclose(one[..., middle, 30:36], other[..., middle, 29:35], atol=1e-4)


def test_the_classifier_starts_from_a_gaussian_of_std_001():
    net = DeepLabV1(backbone=AtrousVGG16(width=1 / 4), num_classes=21)
    assert net.score.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert net.score.bias.eq(0).all()


def test_the_plain_deeplab_has_as_many_parameters_as_deeplab_4x4():
    with torch.device("meta"):
        net = build_model("deeplabv1_4x4", num_classes=21, backbone={"fc6_dilations": [4]})
    assert net.backbone.fc6[0].dilation == 4
    assert sum(p.numel() for p in net.parameters()) == 65_140_565


@pytest.mark.parametrize("size", [(321, 9), (9, 1), (300, 47)])
def test_every_branch_of_msc_has_the_cells_of_the_classifier(msc, size):
    msc.train()  # in eval mode the branches are finer
    with torch.inference_mode():
        features = {1: torch.zeros(1, 3, *size)} | msc.backbone(torch.zeros(1, 3, *size))
        expected = tuple(-(-(side - 1) // 8) + 1 for side in size)
        assert features[32].shape[-2:] == expected
        for name, stage in zip(msc.mlps, (1, 2, 4, 8, 16), strict=True):
            assert msc.mlps[name](features[stage]).shape[-2:] == expected
    msc.eval()


def test_msc_starts_from_the_prototxts_gaussians():
    net = DeepLabV1MSc(backbone=AtrousVGG16(width=1 / 4), num_classes=21)
    for name, fc_std, score_std in (("data", 0.001, 0.01), ("pool2", 0.001, 0.01), ("pool4", 0.005, 0.01)):
        assert net.mlps[name].conv.weight.std().item() == pytest.approx(0.001, rel=0.1)
        assert net.mlps[name].fc.weight.std().item() == pytest.approx(fc_std, rel=0.1)
        assert net.scores[name].weight.std().item() == pytest.approx(score_std, rel=0.1)
    assert net.scores["pool3"].weight.eq(0).all()
    assert net.mlps["pool3"].conv.bias.eq(0).all()


def test_msc_starts_from_a_trained_largefov_and_keeps_it(net):
    msc = build_model("deeplabv1_msc_largefov", num_classes=3, width=1 / 32, branches_only=True).eval()
    result = initialise(msc, net.state_dict())
    assert not result.unused
    assert all(name.startswith(("mlps.", "scores.")) for name in result.new)
    learned = {name for name, parameter in msc.named_parameters() if parameter.requires_grad}
    assert learned == set(result.new)
    for score in msc.scores.values():
        nn.init.zeros_(score.weight)
    images = torch.randint(0, 256, (1, 3, 65, 49), dtype=torch.uint8)
    expected = upsample_logits(net(images)["out"], (65, 49))
    assert torch.allclose(msc(images)["out"], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(65, 49), (60, 50), (9, 2)])
def test_msc_sums_at_full_size_in_eval_mode_what_it_sums_at_stride_8_in_training(size):
    torch.manual_seed(0)
    backbone = AtrousVGG16(width=1 / 32, dropout=0.0)
    msc = DeepLabV1MSc(backbone=backbone, num_classes=3, width=1 / 32, dropout=0.0).eval()
    for convolution in [m for part in (msc.mlps, msc.scores) for m in part.modules() if hasattr(m, "weight")]:
        nn.init.normal_(convolution.weight, std=0.5)
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        fine, coarse = msc(images)["out"], msc.train()(images)["out"]
    assert fine.shape[-2:] == size
    rows, columns = (-(-side // 8) for side in size)
    assert torch.allclose(fine[..., ::8, ::8], coarse[..., :rows, :columns], atol=1e-4)
    assert not torch.allclose(fine, upsample_logits(coarse, size), atol=1e-2)


def test_blocks_of_rows_are_one_pass_and_bound_what_exists(monkeypatch):
    torch.manual_seed(0)
    network, largest = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 1)), 0

    def note(_module, _inputs, out):
        nonlocal largest
        largest = max(largest, out.numel())

    network[0].register_forward_hook(note)
    x = torch.rand(2, 3, 23, 10)
    monkeypatch.setattr(deeplab_v1, "VALUES", 8 * 2 * 10 * 4)
    with torch.inference_mode():
        blocks = deeplab_v1.by_rows(network, x, 8)
        assert largest == 8 * 2 * 10 * 6  # four rows and one on either side
        assert torch.allclose(blocks, network(x), atol=1e-6)


def test_msc_refuses_the_form_whose_poolings_lie_beside_the_cells():
    with pytest.raises(InputError, match="stage 4 with cell i on pixel"):
        build_model("deeplabv1_msc_largefov", num_classes=3, backbone="vgg16_atrous_7x7", width=1 / 32)
