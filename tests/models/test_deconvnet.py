import pytest
import torch
from torch import nn

from segtrain.backbones.vgg_switches import SwitchesVGG16
from segtrain.layers.fc_conv import FCDeconv
from segtrain.models.deconvnet import DeconvNet

# stage_1_train.prototxt: channels and size after every BatchNorm, for 224×224 pixels
LAYERS = [
    *[(64, 224), (64, 224)],  # conv1_*
    *[(128, 112), (128, 112)],
    *[(256, 56), (256, 56), (256, 56)],
    *[(512, 28), (512, 28), (512, 28)],
    *[(512, 14), (512, 14), (512, 14)],
    *[(4096, 1), (4096, 1), (512, 7)],  # fc6, fc7, fc6-deconv
    *[(512, 14), (512, 14), (512, 14)],  # deconv5_*
    *[(512, 28), (512, 28), (256, 28)],
    *[(256, 56), (256, 56), (128, 56)],
    *[(128, 112), (64, 112)],
    *[(64, 224), (64, 224)],
]


def deconvnet(num_classes=21, **backbone):
    return DeconvNet(backbone=SwitchesVGG16(**{"fc_channels": 4096, **backbone}), num_classes=num_classes)


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_channels_and_sizes_are_those_of_the_prototxt_layer_by_layer():
    layers = []
    with torch.device("meta"):
        net = deconvnet()
        for norm in norms(net):
            norm.register_forward_hook(lambda _m, _i, out: layers.append((out.shape[1], *set(out.shape[2:]))))
        net.score = nn.Identity()  # autocast knows no meta device
        net(torch.zeros(2, 3, 224, 224))
    assert layers == LAYERS


def test_the_paper_counts_252_million_parameters_and_29_batch_norms():
    with torch.device("meta"):
        net = deconvnet()
    of_norms = sum(p.numel() for norm in norms(net) for p in norm.parameters())
    assert len(norms(net)) == 29
    assert of_norms == 2 * 16_704
    assert sum(p.numel() for p in net.parameters()) - of_norms == 251_772_245


def test_the_variant_of_segnets_benchmark_has_82_million_parameters():
    with torch.device("meta"):
        net = deconvnet(fc_channels=1024)
    assert sum(p.numel() for p in net.parameters()) == 81_917_909


def test_deconvolutions_and_scores_start_from_a_gaussian_of_std_001():
    torch.manual_seed(0)
    net = deconvnet(width=1 / 8)
    new = [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d | FCDeconv)]
    assert len(new) == 14
    for layer in (*new, net.score):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.15)
        assert layer.bias.eq(0).all()
    assert all(norm.bias.eq(0.001).all() for norm in norms(net))


def test_it_has_no_dropout():
    assert not any(isinstance(m, nn.Dropout) for m in deconvnet(width=1 / 32).modules())


def test_every_7x7_window_of_a_larger_image_reaches_the_output():
    # pool5 is 9×7, so fc7 has three cells, and each of them adds its 7×7 window.
    net = deconvnet(width=1 / 32).eval()
    seen = []
    net.fc6_deconv.register_forward_hook(lambda _m, inputs, out: seen.extend([inputs[0].shape, out.shape]))
    with torch.inference_mode():
        out = net(torch.zeros(1, 3, 288, 224, dtype=torch.uint8))["out"]
    assert [tuple(shape[-2:]) for shape in seen] == [(3, 1), (9, 7)]
    assert out.shape[-2:] == (288, 224)


def test_it_trains_on_images_smaller_than_fc6():
    torch.manual_seed(0)
    net = deconvnet(num_classes=2, width=1 / 32).train()
    images = torch.randint(0, 256, (4, 3, 50, 34), dtype=torch.uint8)
    net(images)["out"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
