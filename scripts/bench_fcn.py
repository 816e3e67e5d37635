"""`make bench`: the padding of FCN-8s, and fc6 as a matrix product and as a convolution.

Medians of interleaved runs in one process; ratios are what counts, times belong to the machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.engine.device import choose, keep_freed_memory
from segtrain.layers.fc_conv import FCConv


def step(model: nn.Module, side: int, compute) -> Callable[[], None]:
    """A training step of `model` on two random pictures of side `side`."""
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    masks = torch.randint(0, 21, (2, side, side))

    def run() -> None:
        with compute.autocast():
            logits = model(images)["out"]
        F.cross_entropy(logits.float(), masks).backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def fc6(layer: nn.Module, compute) -> Callable[[], None]:
    """fc6 forward and backward on eight 4×4 maps."""
    x = torch.rand(8, 512, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()

    def run() -> None:
        with compute.autocast():
            out = layer(x)
        out.float().sum().backward()
        layer.zero_grad()

    return run


def compare(title: str, arms: dict[str, Callable[[], None]], repetitions: int) -> None:
    """Prints each arm's median and its ratio to the first one's."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for repetition in range(repetitions + 1):
        for name, run in arms.items():
            start = time.perf_counter()
            run()
            if repetition:  # the first warms up
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, median in medians.items():
        print(f"  {name:34} {median:7.3f} s  {first / median:5.2f}×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    full, fast = choose("cpu", "32"), choose("cpu", "auto")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, precision=auto is {fast.precision}")

    def net(backbone: str) -> nn.Module:
        return build_model("fcn8s", num_classes=21, backbone=backbone)

    padded, same = net("vgg16_pad100"), net("vgg16")
    compare(
        f"training step of FCN-8s, 2×3×{arguments.side}×{arguments.side}",
        {
            "padding 100, float32": step(padded, arguments.side, full),
            "padding 1, float32": step(same, arguments.side, full),
            f"padding 1, {fast.precision}": step(same, arguments.side, fast),
        },
        arguments.repetitions,
    )
    convolution = nn.Conv2d(512, 4096, 7, padding=3).to(memory_format=torch.channels_last)
    product = FCConv(512, 4096, 7, padding=3)
    compare(
        f"fc6 forward and backward, eight 4×4 maps, {fast.precision}",
        {"nn.Conv2d": fc6(convolution, fast), "matrix product": fc6(product, fast)},
        arguments.repetitions,
    )


if __name__ == "__main__":
    main()
