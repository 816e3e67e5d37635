import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.backbones.alexnet import AlexNet
from segtrain.backbones.vgg_blocks4 import VGG16Blocks4
from segtrain.engine.checkpoint import initialise
from segtrain.errors import InputError
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.models.dcn import DCN


def dcn():
    torch.manual_seed(0)
    return DCN(backbone=VGG16Blocks4(width=1 / 32), num_classes=3).eval()


def test_parameters_at_one_channel_and_two_classes_are_those_of_the_reconstruction():
    with torch.device("meta"):
        net = DCN(backbone=VGG16Blocks4(in_channels=1), num_classes=2)
    assert sum(p.numel() for p in net.backbone.parameters()) == 7_634_112
    assert sum(p.numel() for p in net.parameters()) == 10_734_732


def test_there_are_16_convolutions_and_3_deconvolutions_of_kernel_2k_and_stride_k():
    net = dcn()
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 16
    deconvs = [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.kernel_size[0], m.stride[0]) for m in deconvs] == [(4, 2), (8, 4), (16, 8)]


@pytest.mark.parametrize("size", [(64, 48), (33, 61), (1, 7)])
def test_in_training_each_level_has_its_map_and_their_sum_is_the_output(size):
    net, images = dcn().train(), torch.rand(1, 3, *size) * 255
    outputs = net(images)
    assert all(scores.shape == (1, 3, *size) for scores in outputs.values())
    out = outputs.pop("out")
    assert list(outputs) == ["level1", "level2", "level3"]
    assert torch.allclose(out, sum(outputs.values()), atol=1e-6)
    assert list(net.eval()(images)) == ["out"]


def test_deconvolutions_start_as_bilinear_upsampling():
    net = dcn()
    for stride, level in zip((2, 4, 8), net.levels, strict=True):
        scores = torch.rand(1, 3, 6, 5)
        expected = F.interpolate(scores, scale_factor=stride, mode="bilinear", align_corners=False)
        inside = (..., slice(stride, -stride), slice(stride, -stride))  # zeros lie around the scores
        assert torch.allclose(level[-1](scores)[inside], expected[inside], atol=1e-6)


def test_the_levels_weights_of_the_loss_go_by_their_names():
    net, images = dcn().train(), torch.rand(1, 3, 24, 24) * 255
    masks = torch.randint(0, 3, (1, 24, 24), dtype=torch.uint8)
    outputs = net(images)
    alone = CrossEntropy(weights={"out": 1.0})(outputs, masks)
    levels = {"level1": 1.0, "level2": 0.5, "level3": 0.1}
    supervised = CrossEntropy(weights={"out": 1.0, **levels})(outputs, masks)
    parts = [w * F.cross_entropy(outputs[k], masks.long(), reduction="sum") for k, w in levels.items()]
    assert torch.allclose(supervised, alone + sum(parts))


def test_the_backbone_starts_from_a_trained_deeplab():
    deeplab = build_model("deeplabv1", num_classes=3, width=1 / 32)
    net = dcn()
    result = initialise(net, deeplab.state_dict())
    assert all(name.startswith("levels.") for name in result.new)
    assert torch.equal(net.backbone.block4[4].weight, deeplab.backbone.block4[4].weight)


def test_a_backbone_without_the_three_strides_is_refused():
    with pytest.raises(InputError, match="stride 2 and 4"):
        DCN(backbone=AlexNet(width=1 / 32), num_classes=2)
