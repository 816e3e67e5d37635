"""What FCN's 100-pixel padding costs, and what fc6 costs as a convolution instead of a matrix product."""

import argparse

import torch
from measure import Step, interleaved, our_step, random_batch, row, times
from torch import nn

from segtrain import build_model
from segtrain.engine.device import Compute, choose, keep_freed_memory
from segtrain.layers.fc_conv import FCConv


def fc6(layer: nn.Module, compute: Compute) -> Step:
    """fc6 forward and backward on eight 4×4 maps."""
    x = torch.rand(8, 512, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()

    def run() -> None:
        with compute.autocast():
            out = layer(x)
        out.float().sum().backward()
        layer.zero_grad()

    return run


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
    convolution = nn.Conv2d(512, 4096, 7, padding=3).to(memory_format=torch.channels_last)
    layers = {"convolution": convolution, "product": FCConv(512, 4096, 7, padding=3)}
    seconds = interleaved({name: fc6(layer, fast) for name, layer in layers.items()}, arguments.repetitions)
    ratio = times(seconds["convolution"] / seconds["product"])
    row(f"fc6 of eight 4×4 maps as a matrix product, {fast.precision}", "as a convolution", ratio, "reported")


if __name__ == "__main__":
    main()
