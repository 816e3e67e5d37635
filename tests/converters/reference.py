"""The published networks computed from their own tensors, as plainly as can be."""

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.layers.bilinear import bilinear_kernel

CHANNELS = (2, 4, 8, 16, 16)  # VGG16's at width 1/32
CONVOLUTIONS = (2, 2, 3, 3, 3)
FC, CLASSES = 128, 21


def random_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors that keep a signal's size from layer to layer, by name."""
    torch.manual_seed(0)
    tensors = {}
    for name, shape in shapes.items():
        kind = name.rpartition(".")[2]
        if kind == "running_var" or (kind == "weight" and len(shape) == 1):
            tensors[name] = torch.rand(shape) + 0.5
        elif kind == "num_batches_tracked":
            tensors[name] = torch.tensor(7)
        else:
            fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 100
            tensors[name] = torch.randn(shape) * (2 / fan_in) ** 0.5
    return tensors


def convolution(name: str, out_channels: int, ins: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out_channels, ins, kernel, kernel), f"{name}.bias": (out_channels,)}


def vgg_shapes() -> dict[str, tuple[int, ...]]:
    """Of conv1_1 to conv5_3."""
    shapes, channels = {}, 3
    for block, (out_channels, convolutions) in enumerate(zip(CHANNELS, CONVOLUTIONS, strict=True), start=1):
        for i in range(convolutions):
            shapes |= convolution(f"conv{block}_{i + 1}", out_channels, channels, 3)
            channels = out_channels
    return shapes


def conv(tensors: dict[str, Tensor], name: str, x: Tensor, **how) -> Tensor:
    return F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **how)


def block(tensors: dict[str, Tensor], number: int, x: Tensor, **how) -> Tensor:
    """A block of VGG16 without its pooling; `how` may name the first convolution's padding."""
    first = how.pop("first", how.get("padding", 0))
    for i in range(CONVOLUTIONS[number - 1]):
        x = conv(tensors, f"conv{number}_{i + 1}", x, **(how | ({} if i else {"padding": first}))).relu()
    return x


def bilinear(channels: int, kernel: int) -> Tensor:
    """A dense deconvolution's weight that interpolates."""
    weight = bilinear_kernel(kernel).new_zeros(channels, channels, kernel, kernel)
    weight[range(channels), range(channels)] = bilinear_kernel(kernel)
    return weight


def bgr(images: Tensor, mean: tuple[float, float, float]) -> Tensor:
    """Images as Caffe's networks see them; `mean` of B, G, R."""
    return images.flip(1).float() - torch.tensor(mean).view(3, 1, 1)


def blobs(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The arrays of an npz: LAYER/0 and LAYER/1."""
    return {name.replace(".weight", "/0").replace(".bias", "/1"): value for name, value in tensors.items()}
