import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.commands.build import build_loss
from segtrain.config.compose import compose_config, plain
from segtrain.errors import InputError
from segtrain.losses.cross_entropy import CrossEntropy


def small(name="deeplabv2", **keys):
    torch.manual_seed(0)
    return build_model(name, num_classes=3, width=1 / 64, **keys).eval()


@pytest.mark.parametrize(
    ("name", "keys", "count"),
    [
        ("deeplabv2", {"rates": [12]}, 44_048_532 - 1_548_372 + 387_093),  # LargeFOV on ResNet-101
        ("deeplabv2_vgg16", {"backbone": "vgg16_aspp_s"}, 37_877_652),
        ("deeplabv2_vgg16", {"backbone": "vgg16_large_fov", "branches": 1}, 20_505_429),
    ],
)
def test_parameters_of_the_other_rows_of_the_papers_tables(name, keys, count):
    with torch.device("meta"):
        model = build_model(name, num_classes=21, **keys)
    assert sum(p.numel() for p in model.parameters()) == count


def test_parameters_that_batchnorm_holds_are_as_many_as_in_the_papers_document():
    with torch.device("meta"):
        model = build_model("deeplabv2", num_classes=21)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert sum(p.numel() for m in norms for p in m.parameters()) == 105_344


def test_rates_are_those_of_aspp_l():
    resnet, vgg = small(), small("deeplabv2_vgg16")
    assert [score.dilation[0] for score in resnet.score.scores] == [6, 12, 18, 24]
    assert [fc6.dilation[0] for fc6 in vgg.backbone.fc6] == [6, 12, 18, 24]


@pytest.mark.parametrize(("side", "cells"), [(321, 41), (513, 65), (320, 41)])
@pytest.mark.parametrize("name", ["deeplabv2", "deeplabv2_vgg16"])
def test_sizes_are_those_of_the_papers_document(name, side, cells):
    with torch.inference_mode():
        assert small(name)(torch.zeros(1, 3, side, 9, dtype=torch.uint8))["out"].shape == (1, 3, cells, 2)


def test_resnets_layers_have_the_prototxts_sizes_and_dilation():
    backbone = small().backbone
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 321, 1))
    assert {stage: x.shape[-2] for stage, x in features.items()} == {2: 161, 4: 81, 8: 41, 16: 41, 32: 41}
    assert {block.conv2.dilation[0] for block in backbone.layer3} == {2}
    assert {block.conv2.dilation[0] for block in backbone.layer4} == {4}
    assert backbone.layer2[0].conv1.stride == backbone.layer2[0].downsample[0].stride == (2, 2)


def test_each_scale_gives_the_scores_of_the_image_at_that_scale():
    net = small()
    image = torch.randint(0, 256, (1, 3, 65, 97), dtype=torch.uint8)
    with torch.inference_mode():
        outputs = net(image)
        half = net(image[..., ::2, ::2])["scale_100"]
        whole = build_and_load(net, scales=[1.0])(image)
    assert set(outputs) == {"out", "scale_50", "scale_75", "scale_100"}
    assert torch.allclose(outputs["scale_50"], half, atol=1e-5)
    assert torch.equal(outputs["scale_100"], whole["out"])
    assert torch.equal(whole["out"], whole["scale_100"])


def build_and_load(net, **keys):
    other = small(**keys)
    other.load_state_dict(net.state_dict())
    return other


def test_one_scale_repeated_changes_nothing():
    net = small(scales=[1.0])
    image = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(build_and_load(net, scales=[1.0, 1.0])(image)["out"], net(image)["out"])


@pytest.mark.parametrize("scales", [[0.5, 0.75], [0.0, 1.0], []])
def test_scales_without_1_and_no_scales_are_refused(scales):
    with pytest.raises(InputError, match="give positive numbers"):
        small(scales=scales)


def test_backbones_whose_cells_lie_elsewhere_are_refused():
    with pytest.raises(InputError, match="stage 32 with cell i on pixel"):
        small(backbone="vgg16")


def test_its_loss_takes_every_scale_as_the_mean_over_its_own_labels():
    # All 41×41 and 21×21 labels are valid, and every score is zero: four times log 3.
    loss = build_loss(plain(compose_config("train", ["loss=deeplabv2"])))
    masks = torch.zeros(1, 321, 321, dtype=torch.uint8)
    net = small()
    with torch.inference_mode():
        outputs = {name: torch.zeros_like(x) for name, x in net(torch.zeros(1, 3, 321, 321)).items()}
    assert loss.count(masks).item() == 41 * 41
    value = (loss(outputs, masks) / loss.count(masks)).item()
    assert value == pytest.approx(4 * torch.tensor(3.0).log().item(), rel=1e-5)


def test_its_loss_of_an_image_is_caffes_four_losses_and_a_batch_is_the_sum_of_its_images():
    """Every SoftmaxWithLoss divides by its own valid labels; ignored ones lie where few are seen."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (2, 41, 49), generator=generator).to(torch.uint8)
    masks[0, :20] = 255
    masks[1, ::16, ::16] = 255  # of the second image the coarse scale sees no label at all
    loss = build_loss(plain(compose_config("train", ["loss=deeplabv2"])))
    cells = {"out": (6, 7), "scale_100": (6, 7), "scale_75": (6, 7), "scale_50": (4, 4)}
    outputs = {name: torch.randn(2, 3, *size, generator=generator) for name, size in cells.items()}
    sums = []
    for i in range(2):
        one = {name: logits[i : i + 1] for name, logits in outputs.items()}
        sums.append(loss(one, masks[i : i + 1]))
        means = []
        for name, logits in one.items():
            stride = 16 if name == "scale_50" else 8
            labels = masks[i : i + 1, ::stride, ::stride].long()[:, : logits.shape[2], : logits.shape[3]]
            seen = logits[..., : labels.shape[1], : labels.shape[2]]
            if (labels != 255).any():
                means.append(F.cross_entropy(seen, labels, ignore_index=255))
        assert sums[i] / loss.count(masks[i : i + 1]) == pytest.approx(sum(means).item(), rel=1e-5)
        assert len(means) == 4 - i
    assert loss(outputs, masks) == pytest.approx((sums[0] + sums[1]).item(), rel=1e-5)


def test_its_loss_compares_half_the_scale_with_every_16th_label():
    loss = CrossEntropy(weights={"scale_50": 1.0}, label_stride=8)
    masks = torch.zeros(1, 33, 65, dtype=torch.uint8)
    masks[:, ::16, ::16] = 1
    logits = torch.zeros(1, 2, 3, 5)
    logits[:, 1] = 20
    assert loss({"out": logits, "scale_50": logits}, masks).item() < 1e-3
