import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.backbones.vgg_switches import SwitchesVGG16
from segtrain.models.segnet import SegNet, SegNetBasic

SIZES = [(360, 480), (180, 240), (90, 120), (45, 60), (23, 30)]  # the prototxts', from conv1 to conv5
# segnet_train.prototxt: channels after every convolution of the decoder but the last, and where
DECODER = [
    *[(512, *SIZES[4])] * 3,
    *[(512, *SIZES[3])] * 2,
    (256, *SIZES[3]),
    *[(256, *SIZES[2])] * 2,
    (128, *SIZES[2]),
    *[(128, *SIZES[1]), (64, *SIZES[1])],
    (64, *SIZES[0]),
]


def segnet(num_classes=11, width=1.0):
    return SegNet(backbone=SwitchesVGG16(width=width), num_classes=num_classes)


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(("num_classes", "count"), [(11, 29_449_355), (12, 29_449_932), (37, 29_464_357)])
def test_segnet_has_as_many_parameters_as_the_prototxt(num_classes, count):
    with torch.device("meta"):
        net = segnet(num_classes)
    assert sum(p.numel() for p in net.parameters()) == count
    assert sum(p.numel() for norm in norms(net) for p in norm.parameters()) == 15_872
    assert len(norms(net)) == 25


def test_segnet_basic_has_as_many_parameters_as_the_prototxt():
    with torch.device("meta"):
        net = SegNetBasic(num_classes=11)
    assert sum(p.numel() for p in net.parameters()) == 1_416_587
    assert sum(p.numel() for norm in norms(net) for p in norm.parameters()) == 1_024


def test_the_decoder_of_segnet_has_the_prototxts_channels_and_sizes():
    layers = []
    with torch.device("meta"):
        net = segnet()
        for norm in norms(net.decoder):
            norm.register_forward_hook(lambda _m, _i, out: layers.append(tuple(out.shape[1:])))
        net.score = nn.Identity()  # autocast knows no meta device
        net(torch.zeros(1, 3, 360, 480))
    assert layers == DECODER


def test_the_layers_of_segnet_basic_have_the_prototxts_channels_and_sizes():
    layers = []
    with torch.device("meta"):
        net = SegNetBasic(num_classes=11)
        for norm in norms(net):
            norm.register_forward_hook(lambda _m, _i, out: layers.append(tuple(out.shape[1:])))
        net.score = nn.Identity()  # autocast knows no meta device
        net(torch.zeros(1, 3, 360, 480))
    assert layers == [(64, *size) for size in (*SIZES[:4], *SIZES[3::-1])]


def test_a_cell_of_segnet_basics_pool4_sees_106_pixels():
    # Positive weights and a black image with one bright line: what that line reaches is above 0.
    net = SegNetBasic(num_classes=2, width=1 / 32).eval()
    for name, parameter in net.named_parameters():
        nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    unpooled = []
    net.decoder[0].register_forward_pre_hook(lambda _m, inputs: unpooled.append(inputs[0]))
    images = torch.diag(torch.full((256,), 255.0)).view(256, 1, 256, 1).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        net(images)
    pool4 = F.max_pool2d(unpooled[0], (2, 1))[:, 0, :, 0]  # lines × cells
    lines = pool4[:, 8].nonzero().flatten()
    assert pool4.shape == (256, 16)
    assert len(lines) == 106
    assert lines[-1] - lines[0] == 105


def test_segnet_basics_decoder_has_no_relu_and_segnets_has():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    for net, negative in ((SegNetBasic(num_classes=2, width=1 / 8), True), (segnet(2, 1 / 8), False)):
        outputs = []
        for block in net.decoder:
            block.register_forward_hook(lambda _m, _i, out, outputs=outputs: outputs.append(out.clone()))
        with torch.inference_mode():
            net.train()(images)
        assert len(outputs) == len(net.decoder)
        assert all((out < 0).any() == negative for out in outputs)


def test_segnet_basics_image_is_normalised_over_its_colours_as_caffe_does():
    net = SegNetBasic(num_classes=2, width=1 / 32)
    image = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1)
    scale = (1 + 1e-4 / 5 * image.square().sum()) ** 0.75
    assert torch.allclose(net.contrast(net.normalize(image)), image / scale)


@pytest.mark.parametrize("net", [SegNetBasic(num_classes=11), segnet(width=1 / 4)], ids=["basic", "full"])
def test_weights_start_as_he_proposes_and_shifts_at_0001(net):
    for layer in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        expected = (2 / layer.weight[0].numel()) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.2)
        assert layer.bias.eq(0).all()
    assert all(norm.bias.eq(0.001).all() for norm in norms(net))


def test_segnets_scores_come_from_3x3_surroundings_in_float32():
    net = segnet(width=1 / 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(torch.zeros(2, 3, 33, 40))["out"]
    assert net.score.kernel_size == (3, 3)
    assert out.dtype == torch.float32
    assert out.shape[-2:] == (33, 40)
