"""The formats of published weights that we know."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from segtrain.converters import caffe, crfasrnn, deeplab_pytorch, mmseg, pytorch_fcn, semseg, smp, torchvision
from segtrain.converters.network import Node, PublishedNetwork, State
from segtrain.weights import read_tensors

# From their tensors and our model's YAML to how the ones become the other's.
FORMATS: dict[str, Callable[[State, Node], PublishedNetwork]] = {
    "torchvision": torchvision.network,
    "pytorch-fcn": pytorch_fcn.network,
    "crfasrnn": crfasrnn.network,
    "deeplab-pytorch": deeplab_pytorch.network,
    "semseg": semseg.network,
    "smp": smp.network,
    "mmseg": mmseg.network,
    "caffe": caffe.network,
}


def read(path: str | Path, name: str) -> dict[str, Tensor]:
    """Reads a file of published weights.

    Args:
        path: of the file: .safetensors, .npz, or a .pth of tensors alone.
        name: of its format, a key of FORMATS.

    Returns:
        The tensors by their names, Caffe's blobs by layer.

    Raises:
        InputError: no such file, or one that holds anything but tensors.

    Example:
        >>> read("fcn8s.npz", "caffe")["score_fr.weight"].shape
        (21, 4096, 1, 1)
    """
    state = read_tensors(path, "weights", wanted="a .safetensors, .npz or .pth of tensors alone")
    return caffe.by_layer(state) if name == "caffe" else state
