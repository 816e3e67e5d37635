"""What the benchmarks share: medians of interleaved arms, a training step, and rows of one table."""

import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.data.datasets.camvid import CamVid
from segtrain.engine.device import Compute
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.optim import sgd

HEADER = "| what | against | measured | to reach | |\n| --- | --- | --- | --- | --- |"
Step = Callable[[], object]


def interleaved(arms: Mapping[str, Step], repetitions: int) -> dict[str, float]:
    """Median seconds of each arm; the arms take turns, and the first round warms up.

    With one thread they are the process's own seconds, which a busy machine does not lengthen.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in arms}
    for repetition in range(repetitions + 1):
        for name, run in arms.items():
            start = clock()
            run()
            if repetition:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


PRINTED: list[dict[str, str]] = []  # the table's lines so far
WATCHERS: list[Callable[[], object]] = []  # called after each line


def row(what: str, against: str, measured: str, wanted: str, details: str = "") -> None:
    """Prints a line of the table."""
    PRINTED.append(
        {"what": what, "against": against, "measured": measured, "wanted": wanted, "details": details}
    )
    print(f"| {what} | {against} | {measured} | {wanted} | {details} |", flush=True)
    for watcher in WATCHERS:
        watcher()


def times(ratio: float) -> str:
    return f"{ratio:.2f} ×"


def random_batch(count: int, side: int, classes: int = 21, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Images as our loader gives them, uint8 and channels last, and labels, uint8."""
    images = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, device=device)
    labels = torch.randint(0, classes, (count, side, side), dtype=torch.uint8, device=device)
    return images.permute(0, 3, 1, 2), labels


def our_step(model: nn.Module, batch: Sequence[Tensor], compute: Compute) -> Step:
    """A training step as `segtrain` takes it, by SGD with the loss that suits the model's outputs.

    Args:
        batch: count and labels; read at every step.
    """
    model = model.to(compute.device, memory_format=torch.channels_last).train()
    auxiliary = {"aux": 0.4} if getattr(model, "aux", None) is not None else {}
    loss, optimizer = CrossEntropy(weights={"out": 1.0} | auxiliary), sgd(model, lr=1e-3)

    def step() -> None:
        images, labels = batch
        with compute.autocast():
            outputs = model(images)
        (loss(outputs, labels) / loss.count(labels)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def camvid() -> CamVid:
    """CamVid in the folder that SEGTRAIN_DATA names; without it there is no row."""
    if "SEGTRAIN_DATA" not in os.environ:
        sys.exit("no row of CamVid: SEGTRAIN_DATA does not name the folder that it is in")
    return CamVid(root=str(Path(os.environ["SEGTRAIN_DATA"], "camvid")))


def gmacs(step: Step) -> float:
    """10⁹ multiply-adds of a step, forward and backward."""
    ours = {torch.ops.aten.convolution: _flops, torch.ops.aten.convolution_backward: _flops_backward}
    with FlopCounterMode(display=False, custom_mapping=ours) as counter:
        step()
    return counter.get_total_flops() / 2e9


def _flops(x, weight, _bias, _stride, _padding, _dilation, transposed, *_, out_shape) -> int:
    """Of a convolution, from shapes; torch's own count takes a depthwise one's gradient for a dense one's."""
    return 2 * math.prod(x if transposed else out_shape) * math.prod(weight[1:])


def _flops_backward(
    gradient, x, weight, _bias, _stride, _padding, _dilation, transposed, _output, _groups, mask, **_
) -> int:
    each = _flops(x, weight, None, None, None, None, transposed, out_shape=gradient)
    return each * sum(mask[:2])


def scale_crop(side: int) -> list:
    """The transforms of `augment=scale_crop` at another side."""
    nodes = plain(compose_config("train", ["augment=scale_crop"]))["augment"]
    nodes["crop"] |= {"height": side, "width": side}
    return list(instantiate(nodes, "augment").values())
