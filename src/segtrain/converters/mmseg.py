"""mmsegmentation: PSPNet, DeepLab v3 and DeepLab v3+ on its ResNet-50 and 101 (v1c, stride 8), and U-Net.

Names are those of its decode heads (PSPHead, ASPPHead, DepthwiseSeparableASPPHead, FCNHead on UNet) and
of `EncoderDecoder`. Rates are not in the files: those of its configs, 12, 24, 36 at stride 8, are taken.
"""

import torch
from torch import Tensor, nn

from segtrain.converters.network import Node, OtherModel, PublishedNetwork, State, target
from segtrain.converters.resnet import depth

HEAD = "decode_head."
STEM = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2", 6: "conv3", 7: "bn3"}
MODULE = {"conv": "0", "bn": "1"}  # of a ConvModule
SEPARABLE = {
    "depthwise_conv.conv": "depthwise",
    "depthwise_conv.bn": "depthwise_bn",
    "pointwise_conv.conv": "pointwise",
    "pointwise_conv.bn": "pointwise_bn",
}
# What a file is, by a tensor that it has and those before it lack, and our class for it.
MARKS = {
    "c1_bottleneck.conv.weight": ("DeepLabV3Plus", "StretchedDeepLabV3Plus"),
    "image_pool.1.conv.weight": ("DeepLabV3", "StretchedDeepLabV3"),
    "psp_modules.0.1.conv.weight": ("PSPNet", "StretchedPSPNet"),
}
UNET = "backbone.decoder.0.upsample.interp_upsample.1.conv.weight"
AUX = "the auxiliary head, which ours has not"


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps PSPNet, DeepLab v3, DeepLab v3+ or U-Net, whichever the tensors are of.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network, or the tensors are no ResNet-50 or 101.
    """
    if UNET in state:
        if target(node) != "MMSegUNet":
            raise OtherModel(
                f"format=mmseg: the weights are its U-Net, the model is a {target(node)}", ("MMSegUNet",)
            )
        return unet()
    ours = next((classes for mark, classes in MARKS.items() if f"{HEAD}{mark}" in state), None)
    if ours is None:
        every = tuple(name for classes in MARKS.values() for name in classes)
        raise OtherModel("format=mmseg: the weights are no PSPNet, DeepLab v3, v3+ or U-Net", every)
    if target(node) not in ours:
        raise OtherModel(f"format=mmseg: the weights are a {ours[0]}, the model is a {target(node)}", ours)
    deep = "backbone.stem.0.weight" in state
    layers = {f"backbone.stem.{i}": f"backbone.{name}" for i, name in STEM.items()} if deep else {}
    layers |= {"backbone": "backbone", f"{HEAD}conv_seg": "score"}
    form = {
        "_target_": f"segtrain.converters.stretched.{ours[1]}",
        "align_corners": False,
        "output_stride": 8,
        "backbone.depth": depth(state, "backbone.layer3."),
        "backbone.stem": "deep32" if deep else "conv7",
        "backbone.stride_in": "3x3",
        "backbone.dilation": "torchvision",
    }
    if "PSPNet" in ours:
        heads, own = pspnet(len(node["bins"]), state)
        return PublishedNetwork(layers=layers | heads, form=form | own)
    heads, own = aspp(state, node)
    return PublishedNetwork(
        layers=layers | heads,
        form=form | own | {"backbone.multi_grid": [1, 1, 1], "rates": [6, 12, 18]},
        dropped={"auxiliary_head": AUX},
        prepare=image_pooling_last,
        note="rates are taken for 12, 24, 36 at stride 8; model.rates= (at stride 16) are others",
    )


def pspnet(levels: int, state: State) -> tuple[dict[str, str], dict[str, object]]:
    """Names PSPHead's layers, and the auxiliary FCNHead's.

    Args:
        levels: of the pyramid.
        state: the published tensors by their names.

    Returns:
        Their layers -> ours, and the keys of our model's form.
    """
    layers = {f"{HEAD}conv_seg": "head.2", "auxiliary_head.conv_seg": "aux.2"}
    pairs = {f"{HEAD}psp_modules.{i}.1": f"pyramid.levels.{i}" for i in range(levels)}
    pairs |= {f"{HEAD}bottleneck": "head.0", "auxiliary_head.convs.0": "aux.0"}
    return layers | modules(pairs), {"aux": "auxiliary_head.conv_seg.weight" in state}


def aspp(state: State, node: Node) -> tuple[dict[str, str], dict[str, object]]:
    """Names ASPPHead's layers, and the decoder's of DeepLab v3+.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        Their layers -> ours, and the keys of our model's form.
    """
    pairs = {f"{HEAD}image_pool.1": "aspp.image_pooling", f"{HEAD}bottleneck": "aspp.project"}
    pairs |= {f"{HEAD}aspp_modules.{i}": f"aspp.views.{i}" for i in range(4)}
    pairs[f"{HEAD}c1_bottleneck"] = "low"
    layers = modules(pairs)
    for theirs, ours in {"aspp_modules": "aspp.views", "sep_bottleneck": "refine"}.items():
        for i in range(4):
            layers |= {f"{HEAD}{theirs}.{i}.{name}": f"{ours}.{i}.{part}" for name, part in SEPARABLE.items()}
    form: dict[str, object] = {"project_kernel": 3}
    if f"{HEAD}bottleneck.conv.weight" in state:
        form["channels"] = round(len(state[f"{HEAD}bottleneck.conv.weight"]) / float(node["width"]))
    if f"{HEAD}c1_bottleneck.conv.weight" in state:
        form["separable"] = f"{HEAD}aspp_modules.1.depthwise_conv.conv.weight" in state
    else:
        form["head"] = "paper"
    return layers, form


def unet() -> PublishedNetwork:
    """Maps U-Net, whose decoder is numbered from the finest stage, and ours from the coarsest.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers = {f"{HEAD}conv_seg": "score"} | modules({f"{HEAD}convs.0": "head"})
    for stage in range(5):
        theirs = f"backbone.encoder.{stage}.{min(stage, 1)}.convs"  # behind a pooling, but for the first
        layers |= two_modules(theirs, f"down.{stage}")
    for stage in range(4):
        theirs = f"backbone.decoder.{3 - stage}"
        layers |= modules({f"{theirs}.upsample.interp_upsample.1": f"up.{stage}.1"})
        layers |= two_modules(f"{theirs}.conv_block.convs", f"merge.{stage}")
    return PublishedNetwork(layers=layers, dropped={"auxiliary_head": AUX}, prepare=skip_last)


def two_modules(theirs: str, ours: str) -> dict[str, str]:
    """Names the layers of two ConvModules that are one sequence here.

    Args:
        theirs: the modules, without their numbers.
        ours: the sequence.

    Returns:
        Their layers -> ours.
    """
    offsets = {"conv": 0, "bn": 1}
    return {f"{theirs}.{i}.{n}": f"{ours}.{3 * i + k}" for i in (0, 1) for n, k in offsets.items()}


def skip_last(model: nn.Module, state: State) -> dict[str, Tensor]:
    """The first convolutions of U-Net's decoder, which see the skip first, and ours last.

    Args:
        model: ours.
        state: the published tensors by their names.

    Returns:
        The weights under their names.
    """
    names = [f"backbone.decoder.{i}.conv_block.convs.0.conv.weight" for i in range(4)]
    return {name: torch.cat(state[name].chunk(2, 1)[::-1], 1) for name in names if name in state}


def modules(pairs: dict[str, str]) -> dict[str, str]:
    """Names the convolution and the BatchNorm of ConvModules.

    Args:
        pairs: their module -> ours.

    Returns:
        Their layers -> ours.
    """
    return {f"{a}.{name}": f"{b}.{part}" for a, b in pairs.items() for name, part in MODULE.items()}


def image_pooling_last(model: nn.Module, state: State) -> dict[str, Tensor]:
    """The projection after ASPP, which sees image pooling first, and ours last.

    Args:
        model: ours.
        state: the published tensors by their names.

    Returns:
        The weight under its name.
    """
    name = f"{HEAD}bottleneck.conv.weight"
    if name not in state:
        return {}
    image, *views = state[name].chunk(5, 1)
    return {name: torch.cat([*views, image], 1)}
