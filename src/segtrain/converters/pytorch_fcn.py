"""wkentaro/pytorch-fcn: fcn32s, fcn16s, fcn8s and fcn8s-atonce, converted from Caffe or trained there.

The two FCN-8s have the same tensors: which one a file is, `model=` says.
"""

from segtrain.converters.fcn import fcn
from segtrain.converters.network import Node, PublishedNetwork, State, require

MEAN = (122.67891434, 116.66876762, 104.00698793)


def network(state: State, node: Node) -> PublishedNetwork:
    """Maps an FCN of pytorch-fcn.

    Args:
        state: the published tensors by their names.
        node: the config of our model, as its YAML composes.

    Returns:
        How the tensors go into our model; see `PublishedNetwork`.

    Raises:
        InputError: the format has no such network.
    """
    require(node, "FCN")
    return fcn(state, node, MEAN)
