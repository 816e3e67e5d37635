"""Caffe networks whose blobs were exported as npz: an array LAYER/0 a layer's first blob, ...

FCN: shelhamer/fcn.berkeleyvision.org. DeepLab v1: the authors' config/DeepLab*/train.prototxt.
SegNet: alexgkendall/SegNet-Tutorial, SegNet and SegNet-Basic. DeconvNet: HyeonwooNoh/DeconvNet.
DilatedNet: fyu/dilation. DeepLab v2 and PSPNet: caffe_resnet.py. Layer names are those of their prototxts.

All saw B, G, R, but for NYUD's nets on HHA images, which saw these as they are stored. BatchNorm has
two blobs, scale and shift: the statistics are folded into them in the files for inference, so that
ours are 0 and 1. Training snapshots have none: the first BatchNorm, of an image of 0..255, tells.
"""

import re

import torch
from torch import Tensor, nn

from segtrain.converters.caffe_resnet import deeplab_v2, pspnet
from segtrain.converters.fcn import fcn, is_bilinear
from segtrain.converters.network import Input, Node, PublishedNetwork, State, require, target
from segtrain.converters.vgg import CONVOLUTIONS, vgg16

BLOBS = {"0": "weight", "1": "bias", "weights": "weight"}
VOC = (122.67892, 116.66877, 104.00699)
SIFTFLOW = (108.353, 115.294, 114.578)
NYUD = {  # of 40 classes: the same layers for two kinds of images
    "NYUD's colour images": "mean=[92.318,97.203,116.19]",
    "its HHA images": "mean=[132.431,94.076,118.477] bgr=false",
}
DEEPLAB = (122.675, 116.669, 104.008)
NOTHING = (0.0, 0.0, 0.0)
DILATED = {21: (116.52, 111.36, 102.93), 19: (73.16, 82.91, 72.39)}  # VOC, Cityscapes
CAMVID = (105.41212523, 108.77808759, 110.70313206)
KITTI = (91.34692262, 95.55136972, 96.19429688)  # as many classes, Dilation7
OF_11_CLASSES = {
    "CamVid": "mean=[105.41212523,108.77808759,110.70313206]",
    "KITTI": "mean=[91.34692262,95.55136972,96.19429688]",
}
DILATED_CONTEXT = (*("conv1_1", "conv1_2"), *(f"conv{i}_1" for i in range(2, 8)), "fc1", "final")
MSC = ("data", "pool1", "pool2", "pool3", "pool4")
IMAGE = ("backbone.block1.0",)


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps a Caffe network to ours, by the class of our model.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network.

    Example:
        >>> network(by_layer(state), node).input.mean
        (122.67892, 116.66877, 104.00699)
    """
    require(node, *FAMILIES)
    return FAMILIES[target(node)](state, node)


def by_layer(arrays: State) -> dict[str, Tensor]:
    """Names blobs as tensors: LAYER/0 and LAYER/1 (or LAYER.0, LAYER/weight, ...) as LAYER.weight and
    LAYER.bias.

    Args:
        arrays: the blobs by the names of the file.

    Returns:
        The same tensors by their new names; a name of another form stays.

    Example:
        >>> list(by_layer({"conv1_1/0": kernel, "conv1_1/1": bias}))
        ["conv1_1.weight", "conv1_1.bias"]
    """
    named = {}
    for name, blob in arrays.items():
        found = re.fullmatch(r"(.+)[/:.](\w+)", name)
        named[f"{found[1]}.{BLOBS.get(found[2], found[2])}" if found else name] = blob
    return named


def released_fcn(state: State, node: Node) -> PublishedNetwork:
    """Maps an FCN of shelhamer/fcn.berkeleyvision.org; the classes say which data set's mean it saw.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    if "score_fr_sem.weight" in state:  # SIFT Flow's, of two heads
        return fcn(state, node, SIFTFLOW, suffix="_sem")
    if len(state.get("score_fr.weight", ())) == 40:
        return fcn(state, node, None)._replace(input=Input(None, candidates=NYUD))
    return fcn(state, node, VOC)


def deeplab_v1(state: State, node: Node) -> PublishedNetwork:
    """Maps DeepLab v1: VGG16 up to fc7 and one score layer.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers = vgg16() | {"fc6": "backbone.fc6.0", "fc7": "backbone.fc7.0"}
    return PublishedNetwork(
        layers=layers | dict.fromkeys(("fc8_voc12", "fc8_pascal"), "score"),
        input=Input(DEEPLAB),
        images=IMAGE,
    )


def deeplab_v1_msc(state: State, node: Node) -> PublishedNetwork:
    """Maps DeepLab v1 with its branches on the image and the first four poolings.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    largefov = deeplab_v1(state, node)
    branches = {f"{name}_{kind}": f"mlps.{name}.{kind}" for name in MSC for kind in ("conv", "fc")}
    branches |= {f"{name}_ms": f"scores.{name}" for name in MSC}
    return largefov._replace(layers={**largefov.layers, **branches}, images=(*IMAGE, "mlps.data.conv"))


def segnet(state: State, node: Node) -> PublishedNetwork:
    """Maps SegNet; the decoder's layers are numbered from the deepest block.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers = vgg16(norm="conv{}_bn") | {"conv1_1_D": "score"}
    for block, convolutions in enumerate(CONVOLUTIONS, start=1):
        for i in range(convolutions if block > 1 else 1):  # conv1_1_D has no BatchNorm
            name, ours = f"conv{block}_{convolutions - i}_D", f"decoder.{5 - block}"
            layers |= {name: f"{ours}.{3 * i}", f"{name}_bn": f"{ours}.{3 * i + 1}"}
    return PublishedNetwork(
        layers=layers,
        input=Input(NOTHING),
        images=IMAGE,
        prepare=folded_statistics(layers),
        doubts=unfolded(state, "conv1_1_bn"),
    )


def segnet_basic(state: State, node: Node) -> PublishedNetwork:
    """Maps SegNet-Basic: four layers each way.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers = {"conv_classifier": "score"}
    for i in range(4):
        for name, ours in ((f"conv{i + 1}", f"encoder.{i}"), (f"conv_decode{4 - i}", f"decoder.{i}")):
            layers |= {name: f"{ours}.0", f"{name}_bn": f"{ours}.1"}
    return PublishedNetwork(
        layers=layers,
        input=Input(NOTHING),
        images=("encoder.0.0",),
        prepare=folded_statistics(layers),
        doubts=unfolded(state, "conv1_bn"),
    )


def deconvnet(state: State, node: Node) -> PublishedNetwork:
    """Maps DeconvNet; fc6's deconvolution becomes the matrix that ours multiplies by.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    layers = vgg16(norm="bn{}") | {"seg-score-voc": "score"}
    layers |= {"fc6": "backbone.fc.0.0", "bnfc6": "backbone.fc.0.1"}
    layers |= {"fc7": "backbone.fc.1.0", "bnfc7": "backbone.fc.1.1"}
    layers |= {"fc6-deconv": "fc6_deconv", "fc6-deconv-bn": "fc6_deconv_bn"}
    for block, convolutions in enumerate(CONVOLUTIONS, start=1):
        for i in range(convolutions):
            number, ours = f"{block}_{i + 1}", f"decoder.{5 - block}"
            layers |= {f"deconv{number}": f"{ours}.{3 * i}", f"debn{number}": f"{ours}.{3 * i + 1}"}
    statistics = folded_statistics(layers)

    def prepare(model: nn.Module, state: State) -> dict[str, Tensor]:
        # channels × outputs × 7 × 7 of a deconvolution to a matrix of outputs·7·7 × channels.
        matrix = {k: v.flatten(1).T for k, v in state.items() if k == "fc6-deconv.weight"}
        return statistics(model, state) | matrix

    return PublishedNetwork(
        layers=layers,
        input=Input(DEEPLAB),
        images=IMAGE,
        prepare=prepare,
        doubts=unfolded(state, "bn1_1"),
    )


def dilatednet(state: State, node: Node) -> PublishedNetwork:
    """Maps DilatedNet's front end, with its context module where the file has one.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    scores = state.get("final.weight", state.get("fc-final.weight", ()))
    layers = vgg16() | {"fc6": "backbone.fc6", "fc7": "backbone.fc7"}
    layers |= dict.fromkeys(("final", "fc-final"), "score")
    for prefix in ("ct_", "ctx_"):
        present = [name for name in DILATED_CONTEXT if f"{prefix}{name}.weight" in state]
        layers |= {f"{prefix}{name}": f"context.layers.{2 * i}" for i, name in enumerate(present)}
    fixed = is_bilinear(state.get("ctx_upsample.weight"))
    return PublishedNetwork(
        layers=layers,
        form={"backbone.padding": "reflect"} | ({"upsampling": "deconv"} if fixed else {}),
        input=dilated_input(state, len(scores)),
        images=IMAGE,
        dropped={"ctx_upsample": "bilinear, as ours is without weights"} if fixed else {},
        note=""
        if fixed
        else "there is a cell on the last pixels too, where the authors' crops have one less",
    )


def dilated_input(state: State, classes: int) -> Input:
    """The mean by the number of classes; CamVid's and KITTI's nets differ in their context module alone."""
    if classes != 11:
        return Input(DILATED.get(classes))
    if "ctx_final.weight" not in state:
        return Input(None, candidates=OF_11_CLASSES)
    return Input(CAMVID if "ctx_conv5_1.weight" in state else KITTI)


def unfolded(state: State, first: str) -> dict[str, tuple[str, str]]:
    """A doubt where the first BatchNorm does not bring values of 0..255 down: nothing is folded into it."""
    scale = float(state[f"{first}.weight"].float().abs().median()) if f"{first}.weight" in state else 0.0
    if not 0.3 < scale < 3:
        return {}
    what = f"the weights look like a training snapshot, without BatchNorm's statistics: {first} scales by"
    do = "make the file for inference with the authors' script (compute_bn_statistics.py of SegNet,"
    do += " BN_make_INFERENCE_script.py of DeconvNet)"
    return {first: (f"{what} {scale:.2g}", do)}


def folded_statistics(layers: dict[str, str]):
    """Makes the statistics of BatchNorms that have them folded into scale and shift.

    Args:
        layers: their layers -> ours.

    Returns:
        A function from our model and their tensors to the statistics by their names: mean 0, and a
        variance of 1 - eps, so that nothing is divided by.
    """

    def prepare(model: nn.Module, state: State) -> dict[str, Tensor]:
        statistics = {}
        for theirs, ours in layers.items():
            if f"{theirs}.weight" in state:
                module = model.get_submodule(ours)
                if isinstance(module, nn.BatchNorm2d):
                    statistics[f"{theirs}.running_mean"] = torch.zeros(module.num_features)
                    statistics[f"{theirs}.running_var"] = torch.full((module.num_features,), 1 - module.eps)
        return statistics

    return prepare


FAMILIES = {
    "FCN": released_fcn,
    "DeepLabV1": deeplab_v1,
    "DeepLabV1MSc": deeplab_v1_msc,
    "SegNet": segnet,
    "SegNetBasic": segnet_basic,
    "DeconvNet": deconvnet,
    "DilatedNet": dilatednet,
    "DeepLabV2": deeplab_v2,
    "PSPNet": pspnet,
}
