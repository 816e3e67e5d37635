"""torchvision's classifiers as backbones: every tensor at full width, and values at a small one."""

import pytest
import torch
import torchvision
from torch.nn import functional as F

from segtrain import build_model
from segtrain.commands.import_weights import in_form
from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.converters import torchvision as published
from segtrain.converters.network import take
from segtrain.errors import InputError
from tests.converters.reference import CHANNELS, CONVOLUTIONS, FC, convolution, random_tensors

IMAGES = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FC6_FC7 = {f"classifier.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")}
CONV5 = {f"features.{i}.{kind}" for i in (24, 26, 28) for kind in ("weight", "bias")}
CLASSIFIER = {"classifier.6.weight", "classifier.6.bias"}


def classifier(name):
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None).state_dict()


def ours(model, backbone):
    chosen = [f"model={model}"] + ([f"model/backbone={backbone}"] if backbone else [])
    return plain(compose_config("train", [*chosen, "data=voc"]))["model"]


@pytest.mark.filterwarnings("ignore:for .*num_batches_tracked")  # on the meta device
@pytest.mark.parametrize(
    ("name", "model", "backbone", "dropped"),
    [
        ("vgg16", "fcn8s", None, CLASSIFIER),
        ("vgg16_bn", "fcn32s", None, CLASSIFIER),
        ("vgg16", "deeplabv1", None, CLASSIFIER | FC6_FC7),
        ("vgg16", "deeplabv1_7x7", None, CLASSIFIER | FC6_FC7),
        ("vgg16", "deeplabv2_vgg16", None, CLASSIFIER | FC6_FC7),
        ("vgg16", "dilatednet_frontend", None, CLASSIFIER),
        ("vgg16_bn", "segnet", None, CLASSIFIER | FC6_FC7),
        ("vgg16_bn", "deconvnet", None, CLASSIFIER),
        (
            "vgg16",
            "dcn",
            None,
            CLASSIFIER | FC6_FC7 | CONV5,
        ),
        ("alexnet", "fcn32s", "alexnet", CLASSIFIER),
        ("resnet50", "fcn8s", "resnet50", {"fc.weight", "fc.bias"}),
        ("resnet101", "deeplabv2", None, {"fc.weight", "fc.bias"}),
        ("resnet101", "deeplabv3plus", None, {"fc.weight", "fc.bias"}),
    ],
)
def test_every_tensor_of_a_classifier_is_accounted_for(name, model, backbone, dropped):
    theirs, node = classifier(name), ours(model, backbone)
    network = published.network(theirs, node)
    node, _ = in_form(node, network.form, set())
    with torch.device("meta"):
        net = instantiate(node, "model")
    account = take(net, network, theirs)
    assert set(account.dropped) == dropped
    filled = set(account.loaded.values())
    absent = {n for n in net.state_dict() if n.startswith("backbone.")} - filled
    # DeconvNet's BatchNorm after fc6 and fc7 is not torchvision's.
    assert absent == {n for n in net.state_dict() if n.startswith(("backbone.fc.0.1", "backbone.fc.1.1"))}
    assert all(not name.startswith("backbone.") or name in absent for name in account.new)


def test_googlenets_auxiliary_heads_are_dropped():
    with torch.device("meta"):
        theirs = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False).state_dict()
    node = ours("fcn16s", "googlenet")
    network = published.network(theirs, node)
    node, said = in_form(node, network.form, set())
    with torch.device("meta"):
        net = instantiate(node, "model")
    account = take(net, network, theirs)
    assert said == ["as published: model.backbone.layout=torchvision"]
    assert {name.split(".")[0] for name in account.dropped} == {"aux1", "aux2", "fc"}
    assert len(account.loaded) + len(account.dropped) == len(theirs)


@pytest.mark.parametrize(
    ("name", "model", "backbone", "words"),
    [
        ("vgg16", "deeplabv3", None, "the weights are vgg16, the model has ResNet"),
        ("resnet50", "fcn8s", None, "the weights are resnet, the model has VGG16"),
        ("vgg16_bn", "deeplabv1", None, "the weights are vgg16_bn, the model has AtrousVGG16"),
        ("resnet50", "unet", None, r"no backbone \(UNet\)"),
        ("resnet18", "deeplabv3", None, "2 blocks in the third stage"),
        ("mobilenet_v2", "deeplabv3", None, "none that we know"),
    ],
)
def test_weights_of_another_network_are_refused(name, model, backbone, words):
    with pytest.raises(InputError, match=words):
        published.network(classifier(name), ours(model, backbone))


def test_a_deep_stem_does_not_take_torchvisions_resnet():
    theirs, node = classifier("resnet50"), ours("pspnet50", None)
    network = published.network(theirs, node)
    with torch.device("meta"):
        net = instantiate(node, "model")
    with pytest.raises(InputError, match=r"of another shape: conv1\.weight \(64×3×7×7, here 64×3×3×3\)"):
        take(net, network, theirs)


def test_vgg16_becomes_the_backbone_and_the_head_is_new(imported, close):
    shapes, channels, index = {}, 3, 0
    for out_channels, convolutions in zip(CHANNELS, CONVOLUTIONS, strict=True):
        for _ in range(convolutions):
            shapes |= convolution(f"features.{index}", out_channels, channels, 3)
            channels, index = out_channels, index + 2
        index += 1  # the pooling
    for i, (out_channels, ins) in {0: (FC, 16 * 49), 3: (FC, FC), 6: (1000, FC)}.items():
        shapes |= {f"classifier.{i}.weight": (out_channels, ins), f"classifier.{i}.bias": (out_channels,)}
    theirs = random_tensors(shapes)
    net, done = imported("torchvision", theirs, "fcn8s")
    x, index = net.backbone.normalize(IMAGES), 0
    for convolutions in CONVOLUTIONS:
        for _ in range(convolutions):
            parameters = (theirs[f"features.{index}.weight"], theirs[f"features.{index}.bias"])
            x, index = F.conv2d(x, *parameters, padding=1).relu(), index + 2
        x, index = F.max_pool2d(x, 2, 2), index + 1
    fc6 = theirs["classifier.0.weight"].view(FC, 16, 7, 7)
    x = F.conv2d(x, fc6, theirs["classifier.0.bias"], padding=3).relu()
    x = F.conv2d(x, theirs["classifier.3.weight"][..., None, None], theirs["classifier.3.bias"]).relu()
    with torch.inference_mode():
        close(net.backbone(IMAGES)[32], x)
    assert "new: score32, score16, score8" in done.out
    assert "classifier.6.weight and 1 more: the classifier of ImageNet's 1000 classes" in done.out


def test_a_fc6_of_one_tap_is_the_sum_of_torchvisions(imported):
    source = build_model("fcn8s", num_classes=21, width=1 / 32, backbone={"fc6_kernel": 7})
    names = [name for name in source.backbone.state_dict() if name.startswith("block")]
    state = source.backbone.state_dict()
    with torch.device("meta"):
        features = [
            n for n in torchvision.models.vgg16(weights=None).state_dict() if n.startswith("features")
        ]
    theirs = {theirs: state[name] for theirs, name in zip(features, names, strict=True)}
    for i, name in ((0, "fc6"), (3, "fc7")):
        theirs |= {f"classifier.{i}.{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    net, _ = imported("torchvision", theirs, "fcn8s", "model.backbone.fc6_kernel=1")
    expected = state["fc6.weight"].unflatten(1, (16, 49)).sum(2)
    assert torch.allclose(net.backbone.fc6.weight, expected, atol=1e-6)
