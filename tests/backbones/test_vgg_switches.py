import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.backbones.vgg_switches import SwitchesVGG16
from segtrain.errors import InputError


def test_torchvisions_weights_give_its_features_and_its_fully_connected_layers():
    torch.manual_seed(0)
    model = torchvision.models.vgg16_bn(weights=None).eval()
    backbone = SwitchesVGG16(fc_channels=4096).eval()
    backbone.load_state_dict(backbone.from_torchvision(model.state_dict()))
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)

    def new_batch_norm(x):  # which torchvision's classifier does not have
        return F.relu(x / (1 + 1e-5) ** 0.5 + 0.001)

    with torch.inference_mode():
        pool5 = model.features(backbone.normalize(images))
        fc6 = new_batch_norm(model.classifier[0](pool5.flatten(1)))
        fc7 = new_batch_norm(model.classifier[3](fc6))
        features, _ = backbone(images)
        backbone.fc, backbone.feature_info.window = nn.ModuleList(), 1
        assert torch.allclose(backbone(images)[0], pool5, atol=1e-4)
    assert features.shape == (1, 4096, 1, 1)
    assert torch.allclose(features.flatten(1), fc7, atol=1e-4)


def test_sizes_of_a_camvid_image_are_those_of_segnets_prototxt():
    with torch.inference_mode():
        features, switches = SwitchesVGG16(width=1 / 32)(torch.zeros(1, 3, 360, 480))
    assert [s.size for s in switches] == [(360, 480), (180, 240), (90, 120), (45, 60), (23, 30)]
    assert [s.indices.shape[1] for s in switches] == [2, 4, 8, 16, 16]
    assert features.shape == (1, 16, 12, 15)


@pytest.mark.parametrize(("pixels", "cells"), [((64, 1), (1, 1)), ((224, 224), (1, 1)), ((320, 257), (4, 3))])
def test_fc7_sees_every_7x7_window_and_one_at_least(pixels, cells):
    with torch.inference_mode():
        fc7, _ = SwitchesVGG16(fc_channels=4096, width=1 / 32).eval()(torch.zeros(1, 3, *pixels))
    assert fc7.shape == (1, 128, *cells)


def test_one_window_alone_is_refused_for_training():
    backbone = SwitchesVGG16(fc_channels=64, width=1 / 32)
    with pytest.raises(InputError, match="batch_size=1"):
        backbone(torch.zeros(1, 3, 224, 224))


def test_the_shift_of_every_batch_norm_starts_at_0001():
    norms = [
        m for m in SwitchesVGG16(fc_channels=64, width=1 / 32).modules() if isinstance(m, nn.BatchNorm2d)
    ]
    assert len(norms) == 13 + 2
    assert all(norm.bias.eq(0.001).all() and norm.weight.eq(1).all() for norm in norms)


@pytest.mark.parametrize(("fc_channels", "count"), [(0, 14_714_688), (4096, 134_260_544)])
def test_parameters_are_as_many_as_in_the_papers(fc_channels, count):
    with torch.device("meta"):
        backbone = SwitchesVGG16(fc_channels=fc_channels)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    of_norms = sum(p.numel() for norm in norms for p in norm.parameters())
    assert sum(p.numel() for p in backbone.parameters()) - of_norms == count


@pytest.mark.parametrize(
    ("model", "backbone"),
    [
        ("segnet", "vgg16_bn"),
        ("segnet", "vgg16_switches_fc"),
        ("deconvnet", "vgg16_bn"),
        ("deconvnet", "vgg16_switches"),
        ("fcn32s", "vgg16_switches"),
        ("deeplabv1", "vgg16_switches_fc"),
    ],
)
def test_models_with_switches_and_backbones_with_switches_want_one_another(model, backbone):
    with pytest.raises(InputError, match="model/backbone: "):
        build_model(model, num_classes=3, backbone=backbone, width=1 / 32)
