import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.errors import InputError
from segtrain.layers.bilinear import BilinearDeconv, bilinear_kernel
from segtrain.layers.fc_conv import FCConv
from segtrain.layers.normalize import Normalize
from segtrain.layers.score import Score
from segtrain.layers.width import scaled


def test_the_bilinear_kernel_of_side_4_is_the_papers():
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])
    assert torch.allclose(bilinear_kernel(4), torch.outer(row, row))


def test_the_taps_of_every_output_pixel_sum_to_1():
    for side, stride in ((64, 32), (16, 8), (4, 2), (63, 32)):
        tent = bilinear_kernel(side).diag().sqrt()
        for phase in range(stride):
            assert abs(tent[phase::stride].sum() - 1) < 1e-5


def test_a_bilinear_deconvolution_equals_bilinear_interpolation_inside():
    x = torch.rand(2, 3, 6, 5)
    ours = BilinearDeconv(3, 16, 8)(x)[..., 4:-4, 4:-4]
    theirs = F.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
    inside = (..., slice(4, -4), slice(4, -4))  # at the border one pads zeros, the other repeats
    assert torch.allclose(ours[inside], theirs[inside], atol=1e-6)


def test_a_learned_deconvolution_starts_as_the_fixed_one_and_has_parameters():
    fixed, learned = BilinearDeconv(3, 4, 2), BilinearDeconv(3, 4, 2, learned=True)
    x = torch.rand(1, 3, 5, 5)
    assert torch.allclose(fixed(x), learned(x), atol=1e-6)
    assert not list(fixed.parameters())
    assert sum(p.numel() for p in learned.parameters()) == 3 * 3 * 4 * 4


def test_a_fully_connected_layer_over_windows_equals_the_convolution():
    layer = FCConv(4, 6, 3, padding=1)
    conv = nn.Conv2d(4, 6, 3, padding=1)
    conv.weight.data = layer.weight.data.view(6, 4, 3, 3)
    conv.bias.data = layer.bias.data
    x = torch.rand(2, 4, 7, 5)
    assert torch.allclose(layer(x), conv(x), atol=1e-6)


def test_scores_start_at_zero_and_stay_in_float32_under_autocast():
    score = Score(8, 3)
    x = torch.rand(1, 8, 2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = score(x.bfloat16())
    assert out.dtype == torch.float32
    assert out.eq(0).all()


def test_normalisation_takes_bytes_and_gives_zero_for_the_mean():
    mean = torch.tensor([10.0, 20.0, 30.0])
    images = mean.to(torch.uint8).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert Normalize((10.0, 20.0, 30.0), (1.0, 1.0, 1.0))(images).eq(0).all()


@pytest.mark.parametrize(
    ("model", "backbone"), [("fcn8s", "vgg16_large_fov"), ("deeplabv1", "vgg16"), ("deeplabv1", "alexnet")]
)
def test_a_backbone_that_does_not_suit_the_model_is_refused(model, backbone):
    with pytest.raises(InputError, match=r"model/backbone: .* has no .* needs"):
        build_model(model, num_classes=3, backbone=backbone, width=1 / 32)


def test_the_thinnest_network_has_a_channel_everywhere():
    assert [scaled(c, 1e-3) for c in (48, 512, 4096)] == [1, 1, 4]
    assert scaled(64, 1.0) == 64
