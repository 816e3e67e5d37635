"""wkentaro/pytorch-fcn: fcn32s, fcn16s, fcn8s and fcn8s-atonce, converted from Caffe or trained there.

The two FCN-8s have the same tensors: which one a file is, `model=` says.
"""

from segtrain.converters.fcn import fcn
from segtrain.converters.network import Node, PublishedNetwork, State, require

MEAN = (122.67891434, 116.66876762, 104.00698793)


def network(state: State, node: Node) -> PublishedNetwork:
    require(node, "FCN")
    return fcn(state, node, MEAN)
