import pytest
import torch
from torch import nn

from segtrain.models.fusionnet import FusionNet


def fusionnet(layout="paper", **keys):
    torch.manual_seed(0)
    return FusionNet(num_classes=3, layout=layout, width=1 / 32, **keys).eval()


@pytest.mark.parametrize(
    ("layout", "classes", "count"),
    [("paper", 1, 78_531_649), ("paper", 2, 78_532_226), ("keras", 1, 62_804_545)],
)
def test_parameters_are_as_many_as_the_layout_makes(layout, classes, count):
    with torch.device("meta"):
        net = FusionNet(num_classes=classes, layout=layout, in_channels=1)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("layout", ["paper", "keras"])
def test_the_stages_of_a_640_pixel_image_have_the_papers_sizes(layout):
    net, shapes = fusionnet(layout), []  # a 32nd of the channels
    for stage in [*net.down, *net.merge]:
        stage.register_forward_hook(lambda _m, _i, out: shapes.append((32 * out.shape[1], *out.shape[2:])))
    with torch.inference_mode():
        out = net(torch.zeros(1, 3, 640, 640))["out"]
    down = [(64, 640, 640), (128, 320, 320), (256, 160, 160), (512, 80, 80), (1024, 40, 40)]
    assert shapes == [*down, *reversed(down[:-1])]
    assert out.shape == (1, 3, 640, 640)


@pytest.mark.parametrize(("layout", "side"), [("paper", 326), ("keras", 264)])
def test_the_receptive_field_of_the_bridge(layout, side):
    net = fusionnet(layout).double()
    for parameter in net.parameters():
        parameter.data.abs_()  # no gradient is cut by a ReLU, nor by another maximum
    images = torch.ones(1, 3, 672, 16, dtype=torch.float64, requires_grad=True)
    x = images
    for i, stage in enumerate(net.down):
        x = stage(nn.functional.avg_pool2d(x, 2) if i else x)
    x[..., 21, :].sum().backward()
    rows = images.grad.sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == side


@pytest.mark.parametrize("layout", ["paper", "keras"])
def test_skips_are_summed(layout):
    net, kept = fusionnet(layout), []
    for module in (net.down[3], net.up[0]):
        module.register_forward_hook(lambda _m, _i, out: kept.append(out))
    net.merge[0].register_forward_pre_hook(lambda _m, inputs: kept.append(inputs[0]))
    with torch.inference_mode():
        net(torch.rand(1, 3, 64, 64) * 255)
    skip, up, merged = kept
    assert torch.equal(merged, up + skip)


@pytest.mark.parametrize("layout", ["paper", "keras"])
def test_rounding_poolings_up_changes_nothing_on_multiples_of_16(layout):
    net, images = fusionnet(layout), torch.rand(1, 3, 48, 64) * 255
    nn.init.normal_(net.score.weight)
    with torch.inference_mode():
        rounded_up = net(images)["out"]
        net.pool = nn.MaxPool2d(2)
        assert torch.equal(net(images)["out"], rounded_up)


def test_normalisation_lies_where_each_layout_has_it():
    paper, keras = fusionnet(), fusionnet("keras")
    # Five convolutions in each of nine stages, and four deconvolutions; two in each residual block.
    assert sum(isinstance(m, nn.BatchNorm2d) for m in paper.modules()) == 9 * 5 + 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in keras.modules()) == 9 * 2
    assert sum(isinstance(m, nn.Dropout) for m in paper.modules()) == 0
    assert sum(isinstance(m, nn.Dropout) for m in keras.modules()) == 9
    assert (paper.score.kernel_size, keras.score.kernel_size) == ((3, 3), (1, 1))


def test_a_grey_net_sees_the_same_in_one_channel_and_in_three():
    net = fusionnet(in_channels=1)
    nn.init.normal_(net.score.weight)
    grey = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(net(grey)["out"], net(grey.expand(-1, 3, -1, -1))["out"])
