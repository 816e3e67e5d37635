"""The authors' networks computed from tensors as plainly as can be, for comparison with ours.

Each takes the tensors of our state dict by their names, and nothing of our modules: what is computed, in
which order and with what sizes, is written out here from the authors' code, as the papers' documents have it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = dict[str, Tensor]


def conv(tensors: Tensors, name: str, x: Tensor, **how) -> Tensor:
    return F.conv2d(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), **how)


def norm(tensors: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    """BatchNorm by running statistics."""
    mean, var, weight, bias = (
        tensors[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + eps) * weight + bias


def middle(x: Tensor, height: int, width: int) -> Tensor:
    """As Lasagne's cropping="center" and U-Net's crop layer: the surplus halved, rounded down."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def fc_densenet(tensors: Tensors, x: Tensor, layers: list[int]) -> Tensor:
    """FC-DenseNet.py of SimJeg/FC-DenseNet, without dropout."""

    def bn_relu_conv(name: str, x: Tensor, padding: int) -> Tensor:
        return conv(tensors, f"{name}.conv", norm(tensors, f"{name}.norm", x, 1e-4).relu(), padding=padding)

    poolings = len(layers) // 2
    stack, skips = conv(tensors, "first", x, padding=1), []
    for i in range(poolings):
        for j in range(layers[i]):
            stack = torch.cat([stack, bn_relu_conv(f"down.{i}.layers.{j}", stack, 1)], 1)
        skips.append(stack)
        stack = F.max_pool2d(bn_relu_conv(f"transitions_down.{i}.layer", stack, 0), 2)
    names = ["bottleneck", *(f"up.{i}" for i in range(poolings))]
    for i, (block, count) in enumerate(zip(names, layers[poolings:], strict=True)):
        made = []
        for j in range(count):
            made.append(bn_relu_conv(f"{block}.layers.{j}", stack, 1))
            stack = torch.cat([stack, made[-1]], 1)
        if i < poolings:
            skip, name = skips.pop(), f"transitions_up.{i}.deconv"
            up = F.conv_transpose2d(
                torch.cat(made, 1), tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride=2
            )
            stack = torch.cat([middle(up, *skip.shape[-2:]), skip], 1)
    return conv(tensors, "score", stack)


def frrn(tensors: Tensors, x: Tensor, down: list[int], up: list[int]) -> Tensor:
    """train.py of TobyPDE/FRRN; `down` and `up` are the numbers of units of each stage."""

    def conv_bn(name: str, x: Tensor, padding: int = 1) -> Tensor:
        return norm(tensors, f"{name}.1", conv(tensors, f"{name}.0", x, padding=padding), 1e-4)

    def unit(name: str, x: Tensor) -> Tensor:
        y = conv_bn(f"{name}.convs.1", conv_bn(f"{name}.convs.0", x).relu())
        return y + (conv(tensors, f"{name}.shortcut", x) if f"{name}.shortcut.weight" in tensors else x)

    def enlarged(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    y = conv_bn("start.0", x, 2).relu()
    for i in (1, 2, 3):
        y = unit(f"start.{i}", y)
    z = conv_bn("split", y, 0)
    scale = 1
    for i, units in enumerate([*down, *up]):
        y, scale = (F.max_pool2d(y, 2), 2 * scale) if i < len(down) else (enlarged(y), scale // 2)
        for j in range(units):
            name = f"stages.{i}.units.{j}"
            y = torch.cat([y, F.max_pool2d(z, scale)], 1)
            y = conv_bn(f"{name}.convs.1", conv_bn(f"{name}.convs.0", y).relu()).relu()
            residual = conv(tensors, f"{name}.residual", y)
            z = z + residual.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    y = torch.cat([enlarged(y), z], 1)
    for i in range(3):
        y = unit(f"end.{i}", y)
    return conv(tensors, "score", y)


def unet(tensors: Tensors, x: Tensor) -> Tensor:
    """The net of the paper's figure 1, without padding: 572 pixels in, 388 out."""
    skips = []
    for i in range(5):
        x = F.max_pool2d(x, 2) if i else x
        for layer in (0, 2):
            x = conv(tensors, f"down.{i}.{layer}", x).relu()
        skips.append(x)
    skips.pop()
    for i in range(4):
        weight, bias = (tensors[f"up.{i}.0.{part}"] for part in ("weight", "bias"))
        x = F.conv_transpose2d(x, weight, bias, stride=2).relu()
        x = torch.cat([x, middle(skips.pop(), *x.shape[-2:])], 1)
        for layer in (0, 2):
            x = conv(tensors, f"merge.{i}.{layer}", x).relu()
    return conv(tensors, "score", x)


def fusionnet_keras(tensors: Tensors, x: Tensor) -> Tensor:
    """Model.py of tmquan/FusionNet, with class scores and BatchNorm of a channel."""

    def residual(name: str, x: Tensor) -> Tensor:
        y = x
        for layer in (0, 2):
            y = norm(tensors, f"{name}.{layer}", y, 1e-5)
            y = conv(tensors, f"{name}.{layer + 1}.0", y, padding=1).relu()
        return x + y

    skips = []
    for i in range(5):
        x = F.max_pool2d(x, 2) if i else x
        x = conv(tensors, f"down.{i}.0.0", x, padding=1).relu()
        x = conv(tensors, f"down.{i}.2.0", residual(f"down.{i}.1", x), padding=1).relu()
        skips.append(x)
    skips.pop()
    for i in range(4):
        x = conv(tensors, f"up.{i}.0.0", x, padding=1).relu()
        weight, bias = (tensors[f"up.{i}.1.{part}"] for part in ("weight", "bias"))
        # Twice the input's size: Keras's "same".
        x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1).relu() + skips.pop()
        x = conv(tensors, f"merge.{i}.2.0", residual(f"merge.{i}.1", x), padding=1).relu()
    return conv(tensors, "score", x)


def xception65(tensors: Tensors, x: Tensor, output_stride: int) -> Tensor:
    """core/xception.py of TensorFlow's DeepLab, up to the exit flow's features."""
    eps = 1e-3

    def fixed(name: str, x: Tensor, stride: int, dilation: int, groups: int) -> Tensor:
        """conv2d_same: padded on both sides whatever the size."""
        x = F.pad(x, (dilation,) * 4)
        return conv(tensors, name, x, stride=stride, dilation=dilation, groups=groups)

    def separable(name: str, x: Tensor, stride: int, dilation: int, relu: bool) -> Tensor:
        x = fixed(f"{name}.depthwise", x, stride, dilation, x.shape[1])
        x = norm(tensors, f"{name}.depthwise_bn", x, eps)
        x = conv(tensors, f"{name}.pointwise", x.relu() if relu else x)
        x = norm(tensors, f"{name}.pointwise_bn", x, eps)
        return x.relu() if relu else x

    def unit(name: str, x: Tensor, stride: int, dilation: int, skip: str) -> Tensor:
        y = x
        for i in range(3):
            y = y if skip == "none" else y.relu()
            y = separable(f"{name}.convs.{i}", y, stride if i == 2 else 1, dilation, skip == "none")
        if skip == "conv":
            x = conv(tensors, f"{name}.shortcut.0", x, stride=stride)
            return y + norm(tensors, f"{name}.shortcut.1", x, eps)
        return y + x if skip == "sum" else y

    x = norm(tensors, "stem.0.1", fixed("stem.0.0", x, 2, 1, 1), eps).relu()
    x = norm(tensors, "stem.1.1", fixed("stem.1.0", x, 1, 1, 1), eps).relu()
    blocks = [(f"entry.{i}", 2, "conv") for i in range(3)]
    blocks += [(f"middle.{i}", 1, "sum") for i in range(16)]
    blocks += [("exit.0", 2, "conv"), ("exit.1", 1, "none")]
    reached, rate = 2, 1  # of stack_blocks_dense
    for name, stride, skip in blocks:
        if reached == output_stride:
            x = unit(name, x, 1, rate, skip)
            rate *= stride
        else:
            x = unit(name, x, stride, 1, skip)
            reached *= stride
    return x
