"""hszhao/semseg: PSPNet-50 and PSPNet-101 of the paper's first author (model/pspnet.py)."""

from segtrain.converters.network import Node, PublishedNetwork, State, require
from segtrain.converters.resnet import depth

STEM = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2", 6: "conv3", 7: "bn3"}
HEAD = {0: "0.0", 1: "0.1", 4: "2"}  # convolution, BatchNorm, scores


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps PSPNet; it keeps its auxiliary head where the file has it.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network, or the tensors are no ResNet-50 or 101.
    """
    require(node, "PSPNet")
    layers = {f"layer0.{i}": f"backbone.{name}" for i, name in STEM.items()}
    layers |= {f"layer{i}": f"backbone.layer{i}" for i in range(1, 5)}
    for level in range(len(node["bins"])):
        layers |= {f"ppm.features.{level}.{1 + i}": f"pyramid.levels.{level}.{i}" for i in (0, 1)}
    layers |= {f"cls.{i}": f"head.{name}" for i, name in HEAD.items()}
    layers |= {f"aux.{i}": f"aux.{name}" for i, name in HEAD.items()}
    return PublishedNetwork(
        layers=layers,
        form={
            "aux": "aux.0.weight" in state,  # it is saved by runs that train
            "output_stride": 8,
            "backbone.depth": depth(state, "layer3."),
            "backbone.stem": "deep",
        },
    )
