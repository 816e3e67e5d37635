"""What FCN's 100-pixel padding costs, and what fc6 and fc7 cost as convolutions."""

import argparse

from measure import Step, interleaved, our_step, random_batch, row, times
from torch import Tensor
from torch.nn import functional as F

from segtrain import build_model
from segtrain.engine.device import choose, keep_freed_memory
from segtrain.layers.fc_conv import FCConv


def convolution(layer: FCConv, x: Tensor) -> Tensor:
    """`FCConv` as torch's convolution."""
    weight = layer.weight.unflatten(1, (-1, layer.kernel, layer.kernel))
    return F.conv2d(x, weight, layer.bias, padding=layer.padding, dilation=layer.dilation)


def with_forward(forward, run: Step) -> Step:
    """A step in which `FCConv` is computed by `forward`."""

    def arm() -> None:
        FCConv.forward = forward
        run()

    return arm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    full, fast = choose("cpu", "32"), choose("cpu", "auto")
    padded, same = (build_model("fcn8s", num_classes=21, backbone=name) for name in ("vgg16_pad100", "vgg16"))
    batch = random_batch(2, arguments.side)
    arms = {
        "padded": our_step(padded, batch, full),
        "same": our_step(same, batch, full),
        "fast": our_step(same, batch, fast),
    }
    seconds = interleaved(arms, arguments.repetitions)
    what = f"training step, FCN-8s, 2×3×{arguments.side}×{arguments.side}, `same` padding"
    for arm, precision, wanted in (
        ("same", "32", "≥ 2.5 ×"),
        ("fast", f"auto ({fast.precision})", "reported"),
    ):
        details = f"{seconds[arm]:.2f} s for {seconds['padded']:.2f} s"
        ratio = times(seconds["padded"] / seconds[arm])
        row(f"{what}, `precision={precision}`", "100 pixels, float32", ratio, wanted, details)
    step, own = our_step(same, batch, fast), FCConv.forward
    layers = {"convolution": with_forward(convolution, step), "product": with_forward(own, step)}
    seconds = interleaved(layers, arguments.repetitions)
    FCConv.forward = own
    ratio = times(seconds["convolution"] / seconds["product"])
    details = f"{seconds['product']:.2f} s for {seconds['convolution']:.2f} s"
    row(
        f"{what}, {fast.precision}, fc6 and fc7 as matrix products",
        "as convolutions",
        ratio,
        "≥ 1.05 ×",
        details,
    )


if __name__ == "__main__":
    main()
