import pytest
import torch
import torchvision

from segtrain.backbones.vgg_blocks4 import VGG16Blocks4
from segtrain.weights import load_pretrained


@pytest.fixture(scope="module")
def vgg16():
    torch.manual_seed(0)
    return torchvision.models.vgg16(weights=None).eval()


def test_the_three_taps_are_torchvisions_features_before_its_poolings(vgg16):
    backbone = VGG16Blocks4().eval()
    backbone.load_state_dict(backbone.from_torchvision(vgg16.state_dict()))
    images = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    with torch.inference_mode():
        features = backbone(images)
        for stride, layers in ((2, 9), (4, 16), (8, 23)):
            expected = vgg16.features[:layers](backbone.normalize(images))
            assert torch.allclose(features[stride], expected, atol=1e-4)
            assert features[stride].shape == (
                1,
                backbone.feature_info.channels[stride],
                64 // stride,
                48 // stride,
            )
            assert backbone.feature_info.grids[stride] == (stride, (stride - 1) / 2)


def test_weights_for_grey_respond_as_those_for_rgb(vgg16):
    grey, colour = VGG16Blocks4(in_channels=1), VGG16Blocks4()
    for backbone in (grey, colour):
        load_pretrained(backbone, backbone.from_torchvision(vgg16.state_dict()))
    x = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(grey.block1(x), colour.block1(x.expand(-1, 3, -1, -1)), atol=1e-5)
