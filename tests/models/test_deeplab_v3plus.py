import pytest
import torch
from torch import nn

from segtrain import build_model
from segtrain.layers.upsample import upsample

NAMES = ["deeplabv3plus", "deeplabv3plus_xception65"]


def deeplab(name="deeplabv3plus", **overrides):
    torch.manual_seed(0)
    return build_model(name, num_classes=3, width=1 / 32, **overrides)


@pytest.mark.parametrize(
    ("name", "separable", "classes", "count"),
    [
        ("deeplabv3plus", True, 21, 26_696_133),
        ("deeplabv3plus_resnet101", True, 21, 45_688_261),
        ("deeplabv3plus_xception65", False, 21, 54_711_461),
        ("deeplabv3plus_xception65", True, 19, 41_054_899),
        ("deeplabv3plus_xception65", True, 150, 41_088_566),
    ],
)
def test_parameters_with_plain_and_with_separable_convolutions(name, separable, classes, count):
    with torch.device("meta"):
        model = build_model(name, num_classes=classes, separable=separable)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("name", ["deeplabv3plus", "deeplabv3plus_resnet101", "deeplabv3plus_xception65"])
def test_the_decoder_has_the_papers_channels_and_cost(name):
    with torch.device("meta"):
        model = build_model(name, num_classes=21, separable=False)
    decoder = [m for part in (model.low, model.refine, model.score) for m in part.modules()]
    convolutions = [m for m in decoder if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [
        (256, 48),
        (304, 256),
        (256, 256),
        (256, 21),
    ]
    # Table 5: the decoder takes the mult-adds of a 513-pixel image from 68.00 to 89.76 billion.
    mult_adds = 129 * 129 * sum(c.weight.numel() for c in convolutions)
    assert mult_adds / 1e9 == pytest.approx(89.76 - 68.00, abs=0.01)


def test_the_encoders_features_are_upsampled_and_come_before_the_low_level_ones():
    model, images = deeplab().eval(), torch.rand(1, 3, 50, 83) * 255
    seen = []
    model.refine.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        model(images)
        features = model.backbone(images)
        encoded = upsample(model.aspp(features[32]), 4, (14, 22))
        low = model.low(features[4][..., :14, :22])
    assert seen[0].shape == (1, 8 + 2, 14, 22)  # 256 and 48 by the width of 1/32
    assert torch.equal(seen[0], torch.cat([encoded, low], 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_the_output_has_stride_4_at_every_output_stride_and_size(name, output_stride):
    model = deeplab(name, output_stride=output_stride).eval()
    with torch.inference_mode():
        for side in (1, 2, 5, 16, 17, 18, 31, 33, 513):
            out = model(torch.zeros(1, 3, side, 1))["out"]
            assert out.shape == (1, 3, -(-(side - 1) // 4) + 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_weights_serve_every_output_stride(name):
    trained, images = deeplab(name).eval(), torch.rand(1, 3, 65, 65) * 255
    with torch.inference_mode():
        for output_stride, rates in ((8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])):
            model = deeplab(name, output_stride=output_stride).eval()
            model.load_state_dict(trained.state_dict())
            views = [m for m in model.aspp.views.modules() if isinstance(m, nn.Conv2d)]
            assert [m.dilation[0] for m in views if m.kernel_size == (3, 3)] == rates
            assert model(images)["out"].shape == (1, 3, 17, 17)


def test_separable_convolutions_have_batchnorm_between_their_parts():
    model = deeplab(separable=True)
    for module in (*model.aspp.views[1:], *model.refine):
        assert isinstance(module.depthwise_bn, nn.BatchNorm2d)
        assert isinstance(module.relu, nn.ReLU)
