"""FCN's released networks: Caffe's layer names, which pytorch-fcn kept.

voc-fcn32s, voc-fcn16s, voc-fcn8s, voc-fcn8s-atonce, voc-fcn-alexnet and siftflow-fcn* of
shelhamer/fcn.berkeleyvision.org (net.py); wkentaro/pytorch-fcn, torchfcn/models.
"""

import re

from torch import Tensor

from segtrain.converters.network import Input, Node, Numbers, PublishedNetwork, State, target
from segtrain.converters.vgg import vgg16
from segtrain.layers.bilinear import bilinear_kernel

SCORES = {"score_fr": "score32", "score_pool4": "score16", "score_pool3": "score8"}
TWICE = {"upscore2": "upscore16", "upscore_pool4": "upscore8"}
FINAL = {"upscore": "upscore", "upscore16": "upscore", "upscore8": "upscore"}
ALEXNET = {f"conv{i}": f"backbone.conv{i}" for i in range(1, 6)}
FC = {"fc6": "backbone.fc6", "fc7": "backbone.fc7"}


def fcn(state: State, node: Node, mean: Numbers | None, *, suffix: str = "") -> PublishedNetwork:
    """Maps an FCN on VGG16 or AlexNet, with its 100 pixels of padding.

    Deconvolutions that are bilinear are dropped, for ours are; 2× ones that are not are learned.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.
        mean: of R, G and B, that was subtracted from the images; None where it is not known.
        suffix: of the layers of the head that is wanted, where there are several (SIFT Flow's `_sem`).

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.
    """
    alexnet = target(node["backbone"]) == "AlexNet"
    form = {"backbone.padding": 100} | ({"backbone.layout": "caffe"} if alexnet else {})
    scores, twice, final = ({f"{name}{suffix}": x for name, x in t.items()} for t in (SCORES, TWICE, FINAL))
    fixed = [name for name in (*twice, *final) if is_bilinear(state.get(f"{name}.weight"))]
    dropped = dict.fromkeys(fixed, "bilinear, as ours is without weights")
    if node.get("learn_upsampling") or any(f"{name}.weight" in state and name not in fixed for name in twice):
        form["learn_upsampling"] = True
        dropped = {name: why for name, why in dropped.items() if name not in twice}
    if suffix:
        others = [name for name in state if re.search(r"score.*_[a-z]+\.", name) and f"{suffix}." not in name]
        dropped |= dict.fromkeys(others, "of another head, which ours has not")
    if "scale_pool4.weight" in state:  # voc-fcn8s-atonce
        form["at_once"] = True
        constant = "a constant, which ours has"
        dropped |= {"scale_pool4": constant, "scale_pool3": constant}
    return PublishedNetwork(
        layers=(ALEXNET if alexnet else vgg16()) | FC | scores | twice | final,
        form=form,
        input=Input(mean),
        images=("backbone.conv1" if alexnet else "backbone.block1.0",),
        dropped=dropped,
    )


def is_bilinear(weight: Tensor | None) -> bool:
    """Says whether a deconvolution interpolates every channel for itself.

    Args:
        weight: C×C×k×k, or C×1×k×k in groups; None where the file has none.

    Returns:
        True for a bilinear kernel, to 1e-5.

    Example:
        >>> is_bilinear(bilinear_kernel(4).view(1, 1, 4, 4))
        True
    """
    if weight is None or weight.dim() != 4 or weight.shape[1] not in (1, len(weight)):
        return False
    expected = weight.new_zeros(weight.shape)
    channels = range(len(weight))
    tent = bilinear_kernel(weight.shape[-1]).to(weight)
    expected[channels, channels if weight.shape[1] > 1 else 0] = tent
    return bool((weight - expected).abs().max() < 1e-5)
