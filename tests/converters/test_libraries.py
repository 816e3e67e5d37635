"""Networks of torchvision and segmentation_models.pytorch, and ours with their tensors, at full width."""

import pytest
import torch
import torchvision
from torch import nn

from segtrain.commands.import_weights import in_form
from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.converters.formats import FORMATS
from segtrain.converters.network import take
from segtrain.converters.stretched import stretch
from segtrain.errors import InputError
from segtrain.layers.normalize import Normalize

CLASSES = 21


def scrambled(network):
    """The network with statistics and scales that a training could have left."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.2, 0.6)
    return network.eval()


def taken(format, state, *choice):
    """Our model in the published form, with the tensors, and where they went."""
    node = plain(compose_config("train", [*choice, "data=voc"]))["model"]
    network, given = FORMATS[format](state, node), {key.partition("=")[0] for key in choice}
    node = in_form(node, network.form, given)[0]
    model = instantiate(in_form(node, network.derived(node), given)[0], "model")
    return model.eval(), take(model, network, state)


def image(height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)


def without_weights(name, **how):
    return scrambled(torchvision.models.get_model(name, weights=None, **how))


@pytest.mark.parametrize(
    ("name", "model", "left"),
    [("fcn_resnet50", "fcn_resnet50", set()), ("deeplabv3_resnet50", "deeplabv3", {"aux_classifier"})],
)
def test_torchvisions_networks_give_its_logits_at_any_size(name, model, left, close):
    theirs = without_weights(name, weights_backbone=None, aux_loss=True)
    ours, account = taken("torchvision", theirs.state_dict(), f"model={model}")
    assert not account.new
    assert {key.split(".")[0] for key in account.dropped} == left
    for size in ((65, 97), (51, 70)):
        with torch.inference_mode():
            expected = theirs(Normalize()(image(*size)))
            close(ours(image(*size))["out"], expected["out"])
            if name == "fcn_resnet50":
                aux = ours.aux(ours.backbone(image(*size), whole_cells=False)[16])
                close(stretch({"aux": aux}, size, align_corners=False)["aux"], expected["aux"])


@pytest.mark.parametrize("name", ["fcn_resnet101", "deeplabv3_resnet101"])
def test_every_tensor_of_torchvisions_deeper_networks_has_its_place(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, weights_backbone=None, aux_loss=False)
        model = "fcn_resnet50" if name.startswith("fcn") else "deeplabv3"
        _, account = taken("torchvision", theirs.state_dict(), f"model={model}")
    assert not account.new
    assert not account.dropped


@pytest.mark.filterwarnings("ignore::FutureWarning")  # googlenet announces another initialisation
@pytest.mark.parametrize("name", ["alexnet", "googlenet", pytest.param("vgg16", marks=pytest.mark.slow)])
def test_an_imported_classifier_is_the_pretrained_backbone(name):
    """Whose features tests/backbones compares with torchvision's."""
    theirs = torchvision.models.get_model(name, weights=None).state_dict()
    ours, account = taken("torchvision", theirs, "model=fcn32s", f"model/backbone={name}")
    expected = ours.backbone.from_torchvision(theirs)
    assert {key.removeprefix("backbone.") for key in account.loaded.values()} == set(expected)
    state = ours.backbone.state_dict()
    assert all(torch.equal(state[key], tensor.view(state[key].shape)) for key, tensor in expected.items())
    assert account.new == ["score32.weight", "score32.bias"]


@pytest.fixture
def smp():
    return pytest.importorskip(
        "segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed"
    )


def test_smps_deeplabv3_gives_its_logits(smp, close):
    theirs = scrambled(smp.DeepLabV3("resnet50", encoder_weights=None, classes=CLASSES))
    ours, account = taken("smp", theirs.state_dict(), "model=deeplabv3")
    assert not account.new
    assert not account.dropped
    for size in ((64, 96), (80, 72)):  # of other sizes it takes none
        with torch.inference_mode():
            close(ours(image(*size))["out"], theirs(Normalize()(image(*size))))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"encoder_output_stride": 16}, ["model.output_stride=16"]),
        (
            {"encoder_output_stride": 16, "decoder_atrous_rates": (6, 12, 18)},
            ["model.output_stride=16", "model.rates=[6,12,18]"],
        ),
    ],
)
def test_smps_other_strides_and_rates_are_the_users_to_say(smp, close, theirs, ours):
    """Its files do not have them: without a word they are its defaults, and the import says so."""
    network = scrambled(smp.DeepLabV3("resnet50", encoder_weights=None, classes=CLASSES, **theirs))
    images = image(64, 96)
    with torch.inference_mode():
        expected = network(Normalize()(images))
        model, _ = taken("smp", network.state_dict(), "model=deeplabv3", *ours)
        close(model(images)["out"], expected)
        other, _ = taken("smp", network.state_dict(), "model=deeplabv3")
        assert (other(images)["out"] - expected).abs().max() > 0.01 * expected.abs().max()
    assert (
        "does not say the encoder's output stride"
        in FORMATS["smp"](
            network.state_dict(), plain(compose_config("train", ["model=deeplabv3"]))["model"]
        ).note
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Unet", "its U-Net has a ResNet as encoder"),
        ("PSPNet", "its PSPNet cuts the encoder off at stride 8"),
        ("DeepLabV3Plus", "its DeepLabV3Plus has separable convolutions"),
        ("FPN", "left over: decoder.p5.weight"),
    ],
)
def test_smps_other_networks_are_refused_with_the_difference(smp, name, words):
    with torch.device("meta"):
        theirs = getattr(smp, name)("resnet50", encoder_weights=None, classes=CLASSES).state_dict()
        with pytest.raises(InputError, match=words):
            taken("smp", theirs, "model=deeplabv3")
