import pytest
import torch
from torch.nn import functional as F

from segtrain import build_model
from segtrain.backbones.alexnet import AlexNet
from segtrain.backbones.googlenet import GoogLeNet
from segtrain.backbones.vgg import VGG16
from segtrain.engine.checkpoint import initialise
from segtrain.models.fcn import FCN

BACKBONES = [
    (VGG16, {}),
    (VGG16, {"padding": 100}),
    (AlexNet, {}),
    (AlexNet, {"padding": 100}),
    (GoogLeNet, {}),
    (GoogLeNet, {"layout": "torchvision"}),
]
PARAMETERS = {"alexnet": 56_954_261, "googlenet": 5_995_077, "vgg16_pad100": 134_346_581}


def fcn(stride, **backbone):
    torch.manual_seed(0)
    return FCN(backbone=VGG16(width=1 / 64, **backbone), num_classes=3, stride=stride).eval()


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_of_the_32s_net_on_each_backbone(name):
    with torch.device("meta"):
        model = build_model("fcn32s", num_classes=21, backbone=name)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize(("backbone", "keys"), BACKBONES)
def test_the_output_has_the_images_size_for_every_size(backbone, keys, stride):
    net = backbone(width=1 / 16 if backbone is GoogLeNet else 1 / 64, **keys)
    model = FCN(backbone=net, num_classes=2, stride=stride).eval()
    with torch.inference_mode():
        for side in range(1, 131, 3):
            size = (side, 131 - side)
            assert model(torch.zeros(1, 3, *size, dtype=torch.uint8))["out"].shape[-2:] == size


def test_floor_pooling_would_not_cover_as_the_papers_document_says():
    model = fcn(32, padding=100)
    for module in model.modules():
        if isinstance(module, torch.nn.MaxPool2d):
            module.ceil_mode = False
    with pytest.raises(ValueError, match="cannot crop"):
        model(torch.zeros(1, 3, 46, 46))


def test_a_new_net_predicts_nothing_at_all():
    assert fcn(8)(torch.rand(1, 3, 40, 40) * 255)["out"].eq(0).all()


def test_a_16s_net_started_from_a_32s_one_keeps_its_predictions():
    # 2× and then 16× bilinear is not 32× bilinear between the coarse cells' centres, where the
    # latter has its kinks; where scores change evenly they are equal. So: exactly equal to the
    # 32s scores through the 16s upsampling, equal where even, and nearly the same labels.
    coarse, fine = fcn(32), fcn(16)
    torch.nn.init.normal_(coarse.score32.weight)
    result = initialise(fine, coarse.state_dict())
    assert result.new == ["score16.bias", "score16.weight"]
    assert not result.unused
    images = torch.randint(0, 256, (1, 3, 160, 160), dtype=torch.uint8)
    with torch.inference_mode():
        scores = coarse.score32(coarse.backbone(images)[32])
        expected = fine.upscore(fine.upscore16(scores)[..., 1:-1, 1:-1])[..., 8:168, 8:168]
        assert torch.allclose(fine(images)["out"], expected, atol=1e-5)
        same = coarse(images)["out"].argmax(1) == fine(images)["out"].argmax(1)
        assert same.float().mean() > 0.95


@pytest.mark.parametrize(("coarse", "fine"), [(32, 16), (16, 8)])
def test_a_finer_net_gives_the_coarser_ones_output_where_scores_are_even(coarse, fine):
    one, other = fcn(coarse), fcn(fine)
    torch.nn.init.normal_(one.score32.bias)
    initialise(other, one.state_dict())
    images = torch.randint(0, 256, (1, 3, 160, 160), dtype=torch.uint8)
    with torch.inference_mode():
        inside = (..., slice(32, -32), slice(32, -32))  # of the zeros around the scores
        assert torch.allclose(one(images)["out"][inside], other(images)["out"][inside], atol=1e-4)


def test_both_paddings_take_the_same_weights_and_agree_far_from_the_border():
    same, padded = fcn(32), fcn(32, padding=100)
    torch.nn.init.normal_(same.score32.weight)
    padded.load_state_dict(same.state_dict())
    images = torch.randint(0, 256, (1, 3, 512, 512), dtype=torch.uint8)
    with torch.inference_mode():
        # The grids are 3 pixels apart (12.5 and 15.5), so only their images are compared.
        a = F.avg_pool2d(same(images)["out"], 64)[..., 3:5, 3:5]
        b = F.avg_pool2d(padded(images)["out"], 64)[..., 3:5, 3:5]
    assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.8


def test_at_once_damps_the_skips():
    plain = fcn(8)
    damped = FCN(backbone=plain.backbone, num_classes=3, stride=8, at_once=True).eval()
    for model in (plain, damped):
        torch.nn.init.ones_(model.score16.weight)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.allclose(damped(images)["out"], plain(images)["out"] * 1e-2, rtol=1e-3)
