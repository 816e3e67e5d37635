import pytest
import torch
import torchvision
from torch import nn

from segtrain import build_model
from segtrain.backbones.resnet import ResNet
from segtrain.errors import InputError

STAGES = (4, 8, 16, 32)


def with_statistics(net):
    """The network in eval mode with BatchNorm statistics that are not the identity's."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.2, 0.6)
    return net.eval()


def resnet(**arguments):
    torch.manual_seed(0)
    return with_statistics(ResNet(**{"depth": 50, "width": 1 / 16} | arguments))


def published(model):
    """What is loaded from torchvision's file, which has a last layer more."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith("fc.")}


def torchvisions_features(model, x):
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    features = {}
    for stage, layer in zip(STAGES, (model.layer1, model.layer2, model.layer3, model.layer4), strict=True):
        x = features[stage] = layer(x)
    return features


@pytest.mark.parametrize(
    ("output_stride", "replaced", "side"),
    [
        (32, (False, False, False), 65),
        (32, (False, False, False), 97),
        (16, (False, False, True), 65),
        (8, (False, True, True), 73),
    ],
)
def test_features_are_torchvisions(output_stride, replaced, side):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=replaced)
    theirs = with_statistics(theirs)
    ours = ResNet(depth=50, output_stride=output_stride, dilation="torchvision").eval()
    ours.load_state_dict(published(theirs))
    images = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)
    with torch.inference_mode():
        expected = torchvisions_features(theirs, ours.normalize(images))
        features = ours(images)
    for stage in STAGES:
        assert torch.allclose(features[stage], expected[stage], atol=1e-4)


def test_resnet101_takes_torchvisions_weights():
    with torch.device("meta"):
        theirs, ours = published(torchvision.models.resnet101(weights=None)), ResNet(depth=101)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize(
    ("depth", "stem", "count"),
    [
        (50, "conv7", 23_508_032),
        (101, "conv7", 42_500_160),
        (50, "deep", 23_631_808),
        (101, "deep", 42_623_936),
    ],
)
def test_parameters_are_as_many_as_in_the_papers_document(depth, stem, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet(depth=depth, stem=stem).parameters()) == count


def dilations(**arguments):
    net = ResNet(depth=50, width=1 / 64, **arguments)
    return [[block.conv2.dilation[0] for block in layer] for layer in (net.layer2, net.layer3, net.layer4)]


@pytest.mark.parametrize(
    ("arguments", "layer3", "layer4"),
    [
        ({"output_stride": 32}, [1] * 6, [1, 1, 1]),
        ({"output_stride": 16}, [1] * 6, [2, 2, 2]),
        ({"output_stride": 8}, [2] * 6, [4, 4, 4]),
        ({"output_stride": 32, "dilation": "torchvision"}, [1] * 6, [1, 1, 1]),
        ({"output_stride": 16, "dilation": "torchvision"}, [1] * 6, [1, 2, 2]),
        ({"output_stride": 8, "dilation": "torchvision"}, [1] + [2] * 5, [2, 4, 4]),
        ({"output_stride": 16, "multi_grid": [1, 2, 4]}, [1] * 6, [2, 4, 8]),
        ({"output_stride": 8, "multi_grid": [1, 2, 4]}, [2] * 6, [4, 8, 16]),
    ],
)
def test_dilations_are_those_of_the_papers_document(arguments, layer3, layer4):
    assert dilations(**arguments) == [[1] * 4, layer3, layer4]


@pytest.mark.parametrize(
    ("stride_in", "dilation"), [("1x1", "every_block"), ("3x3", "torchvision")], ids=["1x1", "3x3"]
)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_features_are_the_strided_ones_on_the_shared_cells(output_stride, stride_in, dilation):
    strided = resnet(stride_in=stride_in)
    atrous = resnet(stride_in=stride_in, dilation=dilation, output_stride=output_stride)
    atrous.load_state_dict(strided.state_dict())
    images = torch.randint(0, 256, (1, 3, 97, 129), dtype=torch.uint8)
    with torch.inference_mode():
        dense, coarse = atrous(images), strided(images)
    for stage in STAGES:
        step = stage // min(stage, output_stride)
        assert torch.allclose(dense[stage][..., ::step, ::step], coarse[stage], atol=1e-5)


def test_the_1x1_and_the_3x3_stride_are_two_networks_of_the_same_weights():
    one, other = resnet(stride_in="1x1"), resnet(stride_in="3x3")
    other.load_state_dict(one.state_dict())
    images = torch.rand(1, 3, 65, 65) * 255
    with torch.inference_mode():
        one, other = one(images), other(images)
    assert torch.equal(one[4], other[4])
    assert not torch.allclose(one[8], other[8], atol=1e-2)


@pytest.mark.parametrize(
    ("depth", "arguments", "field"),
    [
        (50, {"output_stride": 32}, 427),
        (50, {"output_stride": 8, "dilation": "torchvision"}, 427),
        (101, {"output_stride": 32}, 971),
        (101, {"output_stride": 8, "dilation": "torchvision"}, 971),
        (50, {"output_stride": 8, "stem": "deep"}, 479),
        (101, {"output_stride": 8, "stem": "deep"}, 1023),
        (50, {"output_stride": 16, "multi_grid": [1, 2, 4]}, 715),
        (101, {"output_stride": 16, "multi_grid": [1, 2, 4]}, 1259),
    ],
)
def test_receptive_fields_are_those_of_the_papers_document(depth, arguments, field, monkeypatch):
    # Positive weights and averages instead of maxima: every pixel that is seen gets a gradient.
    monkeypatch.setattr(nn.functional, "max_pool2d", nn.functional.avg_pool2d)
    net = ResNet(depth=depth, width=1 / 64, **arguments).double().eval()
    for parameter in net.parameters():
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 1)
    pixels = torch.ones(1, 3, 1, 1537, dtype=torch.float64, requires_grad=True)
    monkeypatch.setattr(net, "normalize", nn.Identity())
    features = net(pixels)[32]
    features[..., features.shape[-1] // 2].sum().backward()
    seen = pixels.grad[0, 0, 0].nonzero()
    assert seen.numel() == field
    assert seen.min() + seen.max() == 1536  # the middle cell lies on the middle pixel


@pytest.mark.parametrize(
    ("output_stride", "side", "cells"),
    [
        (8, 321, (81, 41, 41, 41)),  # DeepLab v2
        (16, 513, (129, 65, 33, 33)),  # DeepLab v3
        (8, 473, (119, 60, 60, 60)),  # PSPNet
        (32, 225, (57, 29, 15, 8)),
        (32, 224, (57, 29, 15, 8)),  # one more than torchvision, whose last cell lies on pixel 192
        (8, 1, (1, 1, 1, 1)),
        (8, 2, (3, 2, 2, 2)),
    ],
)
def test_sizes_are_those_of_the_papers(output_stride, side, cells):
    net = ResNet(depth=50, width=1 / 64, output_stride=output_stride).eval()
    with torch.inference_mode():
        features = net(torch.zeros(1, 3, side, 1, dtype=torch.uint8))
    assert tuple(features[stage].shape[-2] for stage in STAGES) == cells
    assert all(features[stage].shape[-1] == 1 for stage in STAGES)
    assert {stage: maps.shape[1] for stage, maps in features.items()} == net.feature_info.channels


def test_the_deepest_cells_cover_the_last_pixel_at_every_size():
    for output_stride in (8, 16, 32):
        net = ResNet(depth=50, width=1 / 64, output_stride=output_stride).eval()
        with torch.inference_mode():
            for side in range(1, 70):
                cells = net(torch.zeros(1, 3, side, 1))[32].shape[-2]
                assert cells == -(-(side - 1) // output_stride) + 1


def test_convolutions_start_he_normal_by_fan_out_and_batchnorm_as_the_identity():
    net = ResNet(depth=50)
    weight = net.layer3[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert net.layer3[1].bn2.weight.eq(1).all()
    assert net.layer3[1].bn2.bias.eq(0).all()


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
@pytest.mark.parametrize("model", ["fcn8s", "fcn16s", "fcn32s"])
def test_fcn_stands_on_it(model, name):
    net = build_model(model, num_classes=3, backbone=name, width=1 / 32).eval()
    with torch.inference_mode():
        for size in ((65, 97), (40, 1), (30, 77)):
            assert net(torch.zeros(1, 3, *size, dtype=torch.uint8))["out"].shape == (1, 3, *size)


def test_fcn_refuses_the_form_with_dilation():
    with pytest.raises(InputError, match="features of stride 32 and 16"):
        build_model("fcn8s", num_classes=3, backbone="resnet101_deeplabv2", width=1 / 32)


def test_deep_stems_take_weights_from_a_file_only(tmp_path):
    with pytest.raises(InputError, match="deep stem"):
        ResNet(depth=50, stem="deep", width=1 / 32, pretrained=True)
    net = ResNet(depth=50, stem="deep", width=1 / 32)
    torch.save(net.state_dict() | {"fc.weight": torch.zeros(1)}, tmp_path / "r50.pth")
    loaded = ResNet(depth=50, stem="deep", width=1 / 32, pretrained=str(tmp_path / "r50.pth"))
    assert torch.equal(loaded.conv3.weight, net.conv3.weight)


def test_multi_grid_wants_a_factor_a_block():
    with pytest.raises(InputError, match="three blocks"):
        ResNet(depth=50, width=1 / 32, multi_grid=[1, 2])
