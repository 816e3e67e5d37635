"""The formats of published weights that we know."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from segtrain.converters import caffe, deeplab_pytorch, pytorch_fcn, semseg, smp, torchvision
from segtrain.converters.network import Node, PublishedNetwork, State
from segtrain.weights import read_tensors

# From their tensors and our model's YAML to how the ones become the other's.
FORMATS: dict[str, Callable[[State, Node], PublishedNetwork]] = {
    "torchvision": torchvision.network,
    "pytorch-fcn": pytorch_fcn.network,
    "deeplab-pytorch": deeplab_pytorch.network,
    "semseg": semseg.network,
    "smp": smp.network,
    "caffe": caffe.network,
}


def read(path: str | Path, name: str) -> dict[str, Tensor]:
    """The tensors of a file of the format `name`. Raises InputError."""
    state = read_tensors(path, "weights", wanted="a .safetensors, .npz or .pth of tensors alone")
    return caffe.by_layer(state) if name == "caffe" else state
