import pytest
import torch
import torchvision
from torch import nn

from segtrain.backbones.alexnet import AlexNet
from segtrain.backbones.googlenet import GoogLeNet
from segtrain.backbones.vgg import VGG16
from segtrain.errors import InputError
from segtrain.weights import torchvision_state


def ours_and_theirs(backbone, model):
    """Both networks' features of a 224×224 image with the torchvision model's weights."""
    model, backbone = model.eval(), backbone.eval()
    backbone.load_state_dict(backbone.from_torchvision(model.state_dict()))
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    return backbone, model, images, backbone.normalize(images)


def test_a_convolutionalised_vgg16_gives_the_logits_of_the_classifier():
    torch.manual_seed(0)
    # Without padding fc6 has the one position of the classifier; padding belongs to sizes only.
    backbone, model, images, x = ours_and_theirs(VGG16(), torchvision.models.vgg16(weights=None))
    backbone.fc6.padding = 0
    with torch.inference_mode():
        fc7 = backbone(images)[32]
        logits = model.classifier[6](fc7.flatten(1))
        assert fc7.shape == (1, 4096, 1, 1)
        assert torch.allclose(logits, model(x), atol=1e-4)


def test_fc6_of_side_1_responds_to_constant_features_as_the_7x7_does():
    state = torchvision.models.vgg16(weights=None).state_dict()
    small, large = VGG16(fc6_kernel=1), VGG16()
    large.fc6.padding = 0
    for backbone in (small, large):
        backbone.load_state_dict(backbone.from_torchvision(state))
    features = torch.rand(1, 512, 1, 1)
    with torch.inference_mode():
        constant = large.fc6(features.expand(1, 512, 7, 7))
        assert torch.allclose(small.fc6(features), constant, atol=1e-3)


def test_vgg16_with_batchnorm_takes_torchvisions_weights():
    torch.manual_seed(0)
    model = torchvision.models.vgg16_bn(weights=None)
    backbone, model, images, x = ours_and_theirs(VGG16(batch_norm=True), model)
    with torch.inference_mode():
        x = backbone.block5(backbone(images)[16])
        assert torch.allclose(x, model.features(backbone.normalize(images)), atol=1e-4)


def test_alexnet_in_torchvisions_layout_gives_its_features():
    torch.manual_seed(0)
    model = torchvision.models.alexnet(weights=None)
    backbone, model, images, x = ours_and_theirs(AlexNet(layout="torchvision", padding=2), model)
    backbone.fc6.padding = 0
    with torch.inference_mode():
        fc7 = backbone(images)[32]
        assert torch.allclose(model.classifier[6](fc7.flatten(1)), model(x), atol=1e-4)


def test_googlenet_in_torchvisions_layout_gives_its_features():
    torch.manual_seed(0)
    with pytest.warns(FutureWarning):  # torchvision announces another initialisation
        model = torchvision.models.googlenet(weights=None, aux_logits=False)
    backbone, model, images, x = ours_and_theirs(GoogLeNet(layout="torchvision"), model)
    with torch.inference_mode():
        logits = model.fc(backbone(images)[32].mean((2, 3)))
        assert torch.allclose(logits, model(x), atol=1e-4)


def test_weights_are_read_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    model = torchvision.models.alexnet(weights=None)
    torch.save(model.state_dict(), tmp_path / "alexnet.pth")
    backbone = AlexNet(layout="torchvision", pretrained=str(tmp_path / "alexnet.pth"))
    assert torch.equal(backbone.conv1.weight, model.features[0].weight)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"fc6": torch.nn.Linear(1, 1)}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="has code in it"):
        torchvision_state("vgg16", str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("backbone", [AlexNet, GoogLeNet])
def test_pretrained_weights_for_a_layout_that_has_none_are_refused(backbone, tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="layout=torchvision"):
        backbone(width=1 / 16, pretrained=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize(
    ("backbone", "count"),
    [
        (VGG16, 134_260_544),
        (AlexNet, 2_334_080 + 37_752_832 + 16_781_312),
        (GoogLeNet, 5_973_552),
    ],
)
def test_parameters_are_as_many_as_in_the_papers(backbone, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in backbone().parameters()) == count


def test_the_receptive_field_of_vgg16_after_fc6_is_404():
    net = VGG16(width=1 / 64).double().eval()
    net.normalize = nn.Identity()
    for number in range(1, 6):  # an average reaches all that a maximum may
        net.get_submodule(f"block{number}")[-1] = nn.AvgPool2d(2, ceil_mode=True)
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    images = torch.ones(1, 3, 960, 1, dtype=torch.float64, requires_grad=True)
    net(images)[32][0, 0, 15, 0].backward()
    seen = images.grad[0, 0, :, 0].nonzero().flatten()
    assert seen.numel() == seen.max() - seen.min() + 1 == 404
