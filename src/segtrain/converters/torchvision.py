"""torchvision: its ImageNet classifiers as our backbones; deeplabv3 and fcn on ResNet-50 and 101 whole."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from segtrain.converters.aspp import aspp
from segtrain.converters.network import Node, OtherModel, PublishedNetwork, State, require, target
from segtrain.converters.resnet import depth
from segtrain.converters.vgg import CONVOLUTIONS
from segtrain.errors import InputError

# What a file is, by a tensor that it has and the classifiers before it lack.
MARKS = {
    "deeplabv3": "classifier.0.convs.0.0.weight",
    "fcn_resnet": "backbone.layer1.0.conv1.weight",
    "resnet": "layer1.0.conv1.weight",
    "googlenet": "inception3a.branch1.conv.weight",
    "vgg16_bn": "features.1.running_mean",
    "vgg16": "features.2.weight",
    "alexnet": "features.3.weight",
}
TAKEN_BY = {
    "resnet": ("ResNet",),
    "googlenet": ("GoogLeNet",),
    "alexnet": ("AlexNet",),
    "vgg16": ("VGG16", "AtrousVGG16", "DilatedVGG16", "VGG16Blocks4"),
    "vgg16_bn": ("VGG16", "SwitchesVGG16"),
}
OF_IMAGENET = "the classifier of ImageNet's 1000 classes"
ALEXNET = {f"features.{i}": f"conv{n}" for n, i in enumerate((0, 3, 6, 8, 10), start=1)}
ALEXNET |= {"classifier.1": "fc6", "classifier.4": "fc7"}
VGG_FC = {"classifier.0": "fc6", "classifier.3": "fc7"}


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps what the file holds, a classifier or a network for segmentation, into our model.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the weights are none that we know, or the model has another backbone.
    """
    kind = next((kind for kind, mark in MARKS.items() if mark in state), None)
    if kind == "deeplabv3":
        return deeplabv3(state, node)
    if kind == "fcn_resnet":
        return fcn_resnet(state, node)
    ours = target(node["backbone"]) if "backbone" in node else f"no backbone ({target(node)})"
    if kind is None or ours not in TAKEN_BY[kind]:
        what = f"format=torchvision: the weights are {kind or 'none that we know'}, the model has {ours}"
        if kind is None:
            raise InputError(what, do="give those of torchvision, or choose another format=")
        raise OtherModel(what, TAKEN_BY[kind], "model/backbone")
    if kind == "resnet":
        return classifier(_as_named(state), {"fc": OF_IMAGENET}, {"depth": depth(state, "layer3.")})
    if kind == "googlenet":
        dropped = dict.fromkeys(("aux1", "aux2"), "an auxiliary head") | {"fc": OF_IMAGENET}
        return classifier(_as_named(state), dropped, {"layout": "torchvision"})
    if kind == "alexnet":
        return classifier(ALEXNET, {"classifier.6": OF_IMAGENET}, {"layout": "torchvision"})
    return vgg16(ours, node["backbone"], norm=kind == "vgg16_bn")


def fcn_resnet(state: State, node: Node) -> PublishedNetwork:
    """Maps a ResNet with dilation under one 3×3 convolution.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network.
    """
    require(node, "FCNResNet")
    heads = {"classifier": "head", "aux_classifier": "aux"}
    parts = {0: "0.0", 1: "0.1", 4: "2"}  # convolution, BatchNorm, scores
    layers = {
        f"{theirs}.{i}": f"{ours}.{part}" for theirs, ours in heads.items() for i, part in parts.items()
    }
    return PublishedNetwork(
        layers={"backbone": "backbone"} | layers,
        form={
            "aux": "aux_classifier.0.weight" in state,
            "backbone.stem": "conv7",
            **segmentation(state),
        },
    )


def segmentation(state: State) -> dict[str, object]:
    """Gives the form that torchvision's networks for segmentation have in common.

    Args:
        state: the published tensors by their names.

    Returns:
        Keys of our YAML with their values.

    Raises:
        InputError: no ResNet-50 or 101.
    """
    return {
        "output_stride": 8,
        "backbone.depth": depth(state, "backbone.layer3."),
        "backbone.dilation": "torchvision",
    }


def deeplabv3(state: State, node: Node) -> PublishedNetwork:
    """Maps DeepLab v3 without its auxiliary head.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network.
    """
    require(node, "DeepLabV3", "StretchedDeepLabV3")
    head = {
        "backbone": "backbone",
        "classifier.1": "head.0",
        "classifier.2": "head.1",
        "classifier.4": "score",
    }
    return PublishedNetwork(
        layers=aspp("classifier.0") | head,
        form={
            "_target_": "segtrain.converters.stretched.StretchedDeepLabV3",
            "align_corners": False,
            "head": "torchvision",
            "backbone.multi_grid": [1, 1, 1],
            **segmentation(state),
        },
        dropped={"aux_classifier": "the auxiliary head, which ours has not"},
    )


def classifier(
    layers: dict[str, str], dropped: dict[str, str], form: Mapping[str, object], **more: Any
) -> PublishedNetwork:
    """Maps a classifier to our backbone.

    Args:
        layers: their layers -> ours within the backbone.
        dropped: their layer -> why it is not needed.
        form: keys of the backbone's YAML that give it the published form.
        more: further fields of `PublishedNetwork`.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    return PublishedNetwork(
        layers={theirs: f"backbone.{ours}" for theirs, ours in layers.items()},
        form={f"backbone.{key}": value for key, value in form.items()},
        dropped=dropped,
        part="backbone.",
        **more,
    )


def _as_named(state: State) -> dict[str, str]:
    """Layers whose names are the same in torchvision and here."""
    return {name.split(".")[0]: name.split(".")[0] for name in state}


def vgg16(ours: str, backbone: Node, *, norm: bool) -> PublishedNetwork:
    """Maps VGG16 in the form of one of our classes; what it has no layer for is dropped.

    Args:
        ours: the backbone's class.
        backbone: its config.
        norm: whether the file has BatchNorms.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers, index, width = {}, 0, 3 if norm else 2
    for block, convolutions in enumerate(CONVOLUTIONS, start=1):
        for i in range(width * convolutions):
            layers[f"features.{index + i}"] = f"block{block}.{i}"
        index += width * convolutions + 1  # the pooling
    dropped, form = {"classifier.6": OF_IMAGENET}, {"batch_norm": norm} if ours == "VGG16" else {}
    if ours == "VGG16Blocks4":
        dropped |= dict.fromkeys(VGG_FC, "the backbone has no fc6 and fc7")
        dropped |= {k: "the backbone ends at conv4_3" for k, name in layers.items() if "block5" in name}
        return classifier(layers, dropped, form)
    if ours == "AtrousVGG16":
        dropped |= dict.fromkeys(VGG_FC, "fc6 and fc7 are made of some of its filters and taps")
        made = {f"backbone.{name}": name for name in ("fc6", "fc7")}
        return classifier(layers | made, dropped, form, prepare=_decimated)
    if ours != "SwitchesVGG16":
        return classifier(layers | VGG_FC, dropped, form, prepare=_one_tap)
    if not backbone.get("fc_channels"):
        dropped |= dict.fromkeys(VGG_FC, "SegNet's encoder has no fc6 and fc7")
        return classifier(layers, dropped, form)
    fc = {"classifier.0": "fc.0.0", "classifier.3": "fc.1.0"}
    return classifier(layers | fc, dropped, form, new=("backbone.fc.0.1", "backbone.fc.1.1"))


def _one_tap(model: nn.Module, state: State) -> dict[str, Tensor]:
    """A 1×1 fc6 with the same response as the 7×7 where the features are constant."""
    name = "classifier.0.weight"
    backbone: Any = model.backbone
    if backbone.fc6.kernel > 1 or name not in state:
        return {}
    return {name: state[name].unflatten(1, (-1, 49)).sum(2)}


def _decimated(model: nn.Module, state: State) -> dict[str, Tensor]:
    backbone: Any = model.backbone
    try:
        converted = backbone.from_torchvision(dict(state))
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            "format=torchvision: fc6 and fc7 cannot be made of the weights", do="give those of a whole vgg16"
        ) from error
    return {f"backbone.{name}": tensor for name, tensor in converted.items() if name.startswith("fc")}
