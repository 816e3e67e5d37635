"""kazuto1011/deeplab-pytorch: DeepLab v2 on ResNet-101, converted from Caffe or trained there.

Older files call the wrapper of the scales `scale`, the projection `proj` and keep ASPP in `stages`.
"""

from segtrain.converters.network import Input, Node, PublishedNetwork, State, require
from segtrain.converters.resnet import DEPTHS, depth

MEAN = (122.675, 116.669, 104.008)
WRAPPERS = ("base", "scale")
UNITS = {
    "reduce": ("conv1", "bn1"),
    "conv3x3": ("conv2", "bn2"),
    "increase": ("conv3", "bn3"),
    "shortcut": ("downsample.0", "downsample.1"),
    "proj": ("downsample.0", "downsample.1"),
}


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps DeepLab v2 on a ResNet, by the number of its blocks.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network, or the tensors are no ResNet-50 or 101.
    """
    require(node, "DeepLabV2", "StretchedDeepLabV2")
    wrapper = next((f"{w}." for w in WRAPPERS if any(n.startswith(f"{w}.") for n in state)), "")
    layers = {"layer1.conv1.conv": "backbone.conv1", "layer1.conv1.bn": "backbone.bn1"}
    for stage in range(2, 6):
        for block in range(max(DEPTHS)):
            theirs, ours = f"layer{stage}.block{block + 1}", f"backbone.layer{stage - 1}.{block}"
            for unit, (conv, bn) in UNITS.items():
                layers |= {f"{theirs}.{unit}.conv": f"{ours}.{conv}", f"{theirs}.{unit}.bn": f"{ours}.{bn}"}
    for i in range(4):
        layers |= dict.fromkeys((f"aspp.c{i}", f"aspp.stages.c{i}"), f"score.scores.{i}")
    return PublishedNetwork(
        layers={f"{wrapper}{theirs}": ours for theirs, ours in layers.items()},
        form={
            "_target_": "segtrain.converters.stretched.StretchedDeepLabV2",
            "backbone.depth": depth(state, f"{wrapper}layer4.block", first=1),
            "backbone.stride_in": "1x1",
            "backbone.dilation": "every_block",
            "backbone.output_stride": 8,
        },
        input=Input(MEAN),
        images=("backbone.conv1",),
    )
