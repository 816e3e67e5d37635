import pytest
import torch

from segtrain import build_model
from segtrain.backbones.resnet import ResNet
from segtrain.errors import InputError


@pytest.mark.parametrize("dilation", ["every_block", "torchvision"])
@pytest.mark.parametrize("stride_in", ["1x1", "3x3"])
def test_a_resnet_whose_stride_is_set_later_is_the_one_built_with_it(stride_in, dilation):
    def resnet(output_stride):
        torch.manual_seed(0)
        return ResNet(
            depth=50,
            output_stride=output_stride,
            stride_in=stride_in,
            dilation=dilation,
            multi_grid=(1, 2, 4),
            width=1 / 32,
        ).eval()

    images = torch.rand(1, 3, 49, 70) * 255
    for first, then in ((32, 8), (8, 16), (16, 32)):
        built, changed = resnet(then), resnet(first)
        changed.set_output_stride(then)
        assert changed.feature_info.grids == built.feature_info.grids
        with torch.inference_mode():
            ours, theirs = changed(images), built(images)
        assert all(torch.equal(ours[stage], theirs[stage]) for stage in (4, 8, 16, 32))


@pytest.mark.parametrize("model", ["pspnet50", "deeplabv3", "deeplabv3plus"])
def test_a_backbone_of_one_fixed_stride_is_refused(model):
    with pytest.raises(InputError, match=r"model/backbone: .* chooses the output stride.* fixed in VGG16"):
        build_model(model, num_classes=3, backbone="vgg16", width=1 / 32)


@pytest.mark.parametrize("model", ["pspnet50", "deeplabv3", "deeplabv3plus"])
@pytest.mark.parametrize("backbone", ["resnet101", "resnet50_deep", "xception65"])
def test_backbones_with_a_choice_of_strides_can_be_exchanged(model, backbone):
    net = build_model(model, num_classes=3, backbone=backbone, width=1 / 32).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 33, 33))["out"].shape[:2] == (1, 3)
