"""Costs and receptive fields against torch's own counter and against gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from segtrain import build_model
from segtrain.anatomy.trace import take_apart
from segtrain.commands.anatomy import COSTS, anatomy_of
from segtrain.layers.grid import Grid
from tests.anatomy.networks import taken_apart
from tests.models.test_zoo import NAMES, PARAMETERS, ZOO, small

SIZE = (65, 65)
QUICK = {"fcn8s_crf", "segnet", "deeplabv1_msc_largefov", "pspnet50"}


SOME_ARE_SLOW = [
    one if name in QUICK else pytest.param(name, marks=[*one.marks, pytest.mark.slow])
    for name, one in zip(NAMES, ZOO, strict=True)
]


@pytest.mark.parametrize("name", SOME_ARE_SLOW)
def test_sums_are_the_parameter_count_and_torchs_multiply_adds(name):
    model = small(name).eval()
    anatomy = take_apart(model, SIZE, costs=COSTS)
    assert anatomy.parameters == sum(p.numel() for p in model.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        out = model(torch.zeros(1, 3, *SIZE))["out"]
    assert anatomy.cells == tuple(out.shape[2:])
    assert anatomy.multiply_adds == pytest.approx(counter.get_total_flops() / 2, rel=0.01)


@pytest.mark.parametrize("name", ["unet", "pspnet50"])
def test_parameters_are_the_papers_and_no_weights_are_needed(name):
    anatomy = taken_apart(name)
    assert anatomy.parameters == PARAMETERS[name]
    assert anatomy.unused.keys() == ({"aux.0.0", "aux.0.1", "aux.2"} if name == "pspnet50" else set())


class Averaged(TorchFunctionMode):
    """Poolings give means, which every one of their pixels changes."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") == "max_pool2d":
            kept = {k: v for k, v in kwargs.items() if k in ("kernel_size", "stride", "padding", "ceil_mode")}
            return F.avg_pool2d(*args[:4], **kept)
        return func(*args, **kwargs)


def positive(model: nn.Module) -> nn.Module:
    """Weights that let every path through: no gradient cancels out."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(getattr(layer, "weight", None), nn.Parameter):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return model


def measured(model: nn.Module, rows: int, cells: list[int]) -> list[tuple[int, int]]:
    """First and last row of the image that changes the logits of some rows."""
    images = torch.full((1, 3, rows, 24), 200.0, requires_grad=True)
    with Averaged():
        out = model(images)["out"]
    found = []
    for cell in cells:
        gradient = torch.autograd.grad(out[0, :, cell, out.shape[3] // 2].sum(), images, retain_graph=True)[0]
        seen = gradient[0].abs().sum((0, 2)).nonzero()[:, 0]
        found.append((int(seen[0]), int(seen[-1])))
    return found


MEASURED = [  # model, rows of the image; what is known of its largest field
    ("fcn32s", 500, 436),  # 404 of one cell (FCN, Table 1), and its neighbour's, bilinearly
    ("fcn32s", 130, None),  # padding cuts it
    ("deeplabv1", 500, 435),
    ("dilatednet_frontend", 450, 380),
    ("unet", 240, 204),
    ("linear", 500, 427),  # ResNet-50
    ("linear", 100, None),
    pytest.param("dilatednet", 960, 908, marks=pytest.mark.slow),  # 380 and (67 - 1) cells of 8 pixels
    pytest.param("unet_valid", 240, 204, marks=pytest.mark.slow),
    pytest.param("unet_encoder", 640, 587, marks=pytest.mark.slow),
    pytest.param("frrn_a", 500, 472, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "rows", "size"), MEASURED)
def test_receptive_fields_are_those_of_gradients(name, rows, size):
    model = positive(build_model(name, num_classes=1, width=1 / 64).eval())
    anatomy = take_apart(model, (rows, 24))
    field, cells = (
        anatomy.receptive,
        [0, anatomy.cells[0] // 2, anatomy.cells[0] // 2 + 1, anatomy.cells[0] - 1],
    )
    theory = [(int(field.first[cell]), int(field.last[cell])) for cell in cells]
    assert theory == measured(model, rows, cells)
    assert field.full_size(rows) == size


def test_published_receptive_fields():
    fc7 = next(layer for layer in taken_apart("fcn8s").layers if layer.name == "backbone.fc7")
    assert fc7.receptive.full_size(600) == 404  # FCN, Table 1
    bottleneck = next(layer for layer in taken_apart("unet").layers if layer.name.startswith("up.0"))
    assert bottleneck.receptive.full_size(600) == 140
    pools = [each for each in taken_apart("segnet_basic").layers if each.kind == "max pooling with switches"]
    assert pools[-1].receptive.full_size(600) == 106  # SegNet, section 3.1


def test_where_the_logits_lie_is_what_the_models_say():
    assert taken_apart("deeplabv1").grid == Grid(8)
    assert taken_apart("fcn8s").grid == Grid(1)
    assert taken_apart("dilatednet_frontend").grid == Grid(8, 3.5)  # taken to lie on 8·i


def test_image_pooling_sees_the_whole_image():
    assert taken_apart("deeplabv3plus").receptive.everywhere
    assert not taken_apart("fcn8s").receptive.everywhere


def test_a_layer_says_what_it_is_and_where_it_stands():
    layers = {layer.name: layer for layer in taken_apart("deeplabv1").layers}
    fc6 = layers["backbone.fc6.0"]
    assert (fc6.kernel, fc6.stride, fc6.padding, fc6.dilation) == (3, 1, 12, 12)
    assert (fc6.in_channels, fc6.out_channels, fc6.rows) == (512, 1024, 76)
    assert fc6.parameters == 9 * 512 * 1024 + 1024
    assert fc6.multiply_adds == 9 * 512 * 1024 * 76 * 76
    assert fc6.memory == 4 * 1024 * 76 * 76
    assert fc6.source[0] == "backbones/vgg_atrous.py"
    assert fc6.after == ["ReLU"]


def test_the_network_is_left_as_it_was():
    model = small("fcn8s_crf").train()
    forward = model.mean_field.forward
    anatomy_of(model, SIZE)
    assert model.training
    assert model.mean_field.forward == forward
    assert not model._forward_hooks
