"""Caffe networks on ResNets: DeepLab v2 (deeplab_ResNet101) and PSPNet (evaluation/prototxt), and DeepLab
v2 on VGG16, by the layer names of their prototxts.

DeepLab's BatchNorm layers hold sums of means and variances and the factor that divides them, and its
Scale layers scale and shift; PSPNet's BN layers hold scale, shift, mean and variance.
"""

import re

import torch
from torch import Tensor, nn

from segtrain.converters.network import Input, Node, PublishedNetwork, State
from segtrain.converters.resnet import DEPTHS, depth
from segtrain.converters.vgg import vgg16

DEEPLAB = (122.675, 116.669, 104.008)
PSPNET = (123.68, 116.779, 103.939)
FEWER = {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5}  # blocks of a stage with letters alone
BRANCHES = {"1": "downsample.", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
NORMS = {"downsample.": "downsample.1", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3"}
UNITS = {"1x1_reduce": "conv1", "3x3": "conv2", "1x1_increase": "conv3", "1x1_proj": "downsample."}
STEM = {"conv1_1_3x3_s2": "1", "conv1_2_3x3": "2", "conv1_3_3x3": "3"}
STATISTICS = {"2": "running_mean", "3": "running_var"}


def deeplab_v2(state: State, node: Node) -> PublishedNetwork:
    """Maps DeepLab v2 on ResNet-101 or VGG16, whichever the tensors are of.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    if "conv1_1.weight" in state:
        return deeplab_v2_on_vgg16(state)
    layers = {"conv1": "backbone.conv1", "scale_conv1": "backbone.bn1"}
    norms = {"bn_conv1": "backbone.bn1"}
    for stage in range(2, 6):
        for name, number in block_numbers().items():
            for branch, conv in BRANCHES.items():
                ours, unit = f"backbone.layer{stage - 1}.{number}", f"{stage}{name}_branch{branch}"
                bn = f"{ours}.{NORMS[conv]}"
                layers |= {f"res{unit}": f"{ours}.{conv}".replace("downsample.", "downsample.0")}
                layers |= {f"scale{unit}": bn}
                norms[f"bn{unit}"] = bn
    for theirs, bn in norms.items():
        layers |= {f"{theirs}.weight": f"{bn}.running_mean", f"{theirs}.bias": f"{bn}.running_var"}
    layers |= {f"fc1_voc12_c{i}": f"score.scores.{i}" for i in range(4)}
    scales = [name for name in state if "_res075" in name or "_res05" in name]
    return PublishedNetwork(
        layers=layers,
        form={
            "backbone.depth": 101,
            "backbone.stride_in": "1x1",
            "backbone.dilation": "every_block",
            "backbone.output_stride": 8,
        },
        input=Input(DEEPLAB),
        images=("backbone.conv1",),
        dropped={f"{bn}.2": "divides the statistics" for bn in norms}
        | dict.fromkeys(scales, "the same weights at another scale"),
        prepare=divided_statistics,
    )


def block_numbers() -> dict[str, int]:
    """What the blocks of a stage are called -> their numbers: a, b, c and a, b1, b2, ..."""
    return FEWER | {f"b{i}": i for i in range(1, max(DEPTHS))}


def divided_statistics(model: nn.Module, state: State) -> dict[str, Tensor]:
    """Caffe's sums of means and variances, by the factor that they have in common.

    Args:
        model: ours.
        state: the published tensors by their names.

    Returns:
        Means and variances under the sums' names.
    """
    divided = {}
    for name, factor in state.items():
        if layer := re.fullmatch(r"(bn.*)\.2", name):
            divisor = factor.flatten()[0]
            for kind in ("weight", "bias"):
                sums = state[f"{layer[1]}.{kind}"]
                divided[f"{layer[1]}.{kind}"] = sums / divisor if divisor else torch.zeros_like(sums)
    return divided


def deeplab_v2_on_vgg16(state: State) -> PublishedNetwork:
    """Maps DeepLab v2 on VGG16: one branch (LargeFOV), or four of ASPP, whose names are not the authors' own
    word but a converter's.

    Args:
        state: the published tensors by their names.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers = vgg16()
    for i, suffix in enumerate(("_1", "_2", "_3", "_4") if "fc6_1.weight" in state else ("",)):
        layers |= {f"fc6{suffix}": f"backbone.fc6.{i}", f"fc7{suffix}": f"backbone.fc7.{i}"}
        layers[f"fc8_voc12{suffix}"] = f"score.scores.{i}"
    return PublishedNetwork(layers=layers, input=Input(DEEPLAB), images=("backbone.block1.0",))


def pspnet(state: State, node: Node) -> PublishedNetwork:
    """Maps PSPNet; the released PSPNet-50 strides in its 1×1 convolutions, PSPNet-101 in its 3×3.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the tensors are no ResNet-50 or 101.
    """
    deep = depth({re.sub(r"^conv4_(\d+)_", r"conv4.\1.", name): x for name, x in state.items()}, "conv4.", 1)
    pairs = {theirs: (f"backbone.conv{i}", f"backbone.bn{i}") for theirs, i in STEM.items()}
    for stage in range(2, 6):
        for block in range(max(DEPTHS)):
            for unit, conv in UNITS.items():
                ours = f"backbone.layer{stage - 1}.{block}"
                named = f"{ours}.{conv}".replace("downsample.", "downsample.0")
                pairs[f"conv{stage}_{block + 1}_{unit}"] = (named, f"{ours}.{NORMS[conv]}")
    for level, bins in enumerate(node["bins"]):
        pairs[f"conv5_3_pool{bins}_conv"] = (f"pyramid.levels.{level}.0", f"pyramid.levels.{level}.1")
    pairs["conv5_4"] = ("head.0.0", "head.0.1")
    middle = f"conv4_{24 if deep == 101 else 7}"  # the layer after the last block: the auxiliary head
    pairs[middle] = ("aux.0.0", "aux.0.1")
    layers = {"conv6": "head.2", "conv6_1": "aux.2"}
    for theirs, (conv, bn) in pairs.items():
        layers |= {theirs: conv, f"{theirs}/bn": bn}
        layers |= {f"{theirs}/bn.{blob}": f"{bn}.{kind}" for blob, kind in STATISTICS.items()}
    return PublishedNetwork(
        layers=layers,
        form={
            "aux": f"{middle}.weight" in state,  # it is saved by runs that train
            "output_stride": 8,
            "backbone.depth": deep,
            "backbone.stem": "deep",
            "backbone.stride_in": "1x1" if deep == 50 else "3x3",
        },
        input=Input(PSPNET),
        images=("backbone.conv1",),
        prepare=finest_first,
    )


def finest_first(model: nn.Module, state: State) -> dict[str, Tensor]:
    """The head's 3×3 convolution, which sees the pyramid from its most bins to its fewest, in our order.

    Args:
        model: ours.
        state: the published tensors by their names.

    Returns:
        The weight under its name.
    """
    weight = state.get("conv5_4.weight")
    if weight is None or weight.dim() != 4:
        return {}
    features, pooled = weight.chunk(2, 1)
    return {"conv5_4.weight": torch.cat([features, *reversed(pooled.chunk(4, 1))], 1)}
