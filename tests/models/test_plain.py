"""The models without published PyTorch weights equal the authors' code, written out plainly."""

import pytest
import torch
from torch import nn

from segtrain.backbones.xception import Xception65
from segtrain.models.fc_densenet import FCDenseNet
from segtrain.models.frrn import FRRN
from segtrain.models.fusionnet import FusionNet
from segtrain.models.unet import UNet
from tests.models import plain

LAYERS = [2, 3, 2, 3, 2]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # scores are computed in float32, here all before them in float64


def with_values(model: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The model in float64 with statistics, scales and shifts that are not 0 and 1, and its tensors."""
    torch.manual_seed(0)
    model = model.double().eval()
    model.normalize = nn.Identity()
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point() and (tensor.ndim == 1 or name.startswith("score")):
            tensor.add_(torch.randn_like(tensor) / 10)
    tensors = dict(model.state_dict())
    if hasattr(model, "score"):
        model.score.float()  # scores are computed in float32
    return model, tensors


def image(*size: int) -> torch.Tensor:
    return torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_fc_densenet_is_the_authors():
    model, tensors = with_values(FCDenseNet(num_classes=5, growth_rate=4, layers=LAYERS, first_channels=6))
    x = image(30, 41)  # poolings that round down, and a centre that is cropped
    torch.testing.assert_close(model(x)["out"].double(), plain.fc_densenet(tensors, x, LAYERS), **CLOSE)


@torch.no_grad()
def test_frrn_is_the_authors():
    down, up = [(6, 2), (8, 1), (8, 1)], [(8, 2), (6, 1)]
    keys = {"base_channels": 6, "residual_channels": 4}
    model, tensors = with_values(FRRN(num_classes=5, down=down, up=up, **keys))
    x = image(32, 48)
    wanted = plain.frrn(tensors, x, [units for _, units in down], [units for _, units in up])
    torch.testing.assert_close(model(x)["out"].double(), wanted, **CLOSE)


@torch.no_grad()
def test_unet_without_padding_is_the_papers():
    model, tensors = with_values(UNet(num_classes=2, padding="valid", width=1 / 16))
    x = image(204, 220)
    wanted = plain.unet(tensors, x)
    assert wanted.shape[-2:] == (20, 36)
    torch.testing.assert_close(model.logits(x).double(), wanted, **CLOSE)


@torch.no_grad()
def test_fusionnet_keras_is_the_authors():
    model, tensors = with_values(FusionNet(num_classes=2, layout="keras", width=1 / 16))
    x = image(48, 32)
    torch.testing.assert_close(model(x)["out"].double(), plain.fusionnet_keras(tensors, x), **CLOSE)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@torch.no_grad()
def test_xception_65_is_tensorflows(output_stride):
    model, tensors = with_values(Xception65(output_stride=output_stride, width=1 / 32))
    x = image(65, 97)
    wanted = plain.xception65(tensors, x, output_stride)
    torch.testing.assert_close(model(x)[32], wanted, rtol=1e-9, atol=1e-9)
