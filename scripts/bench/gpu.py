"""`make bench-gpu`: training, the CRF and agreement with the CPU on one GPU, in under ten minutes.

Self-contained: the images are drawn, and stored as JPEG and PNG, so that a loader has its usual work.
DeepLab v3 on ResNet-50 in bfloat16 is trained beside torchvision's own in the form of its references
(NCHW, float32, a loss read every step), each with a loader of its own. `make reproduce-gpu` is apart.
The whole flow runs on a CPU too, beside a smaller network of theirs where ours is narrower:
`--device cpu --side 64 --batch 2 --seconds 1 --width 0.0625 --crf 1 24 32`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import torch
import torchvision
from measure import HEADER, gmacs, our_step, random_batch, row, scale_crop, times
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from segtrain import build_model
from segtrain.contracts import Pair
from segtrain.crf import BILATERAL, GAUSSIAN
from segtrain.crf.potentials import read_kernels
from segtrain.crf.torch_backend.backend import batch_marginals
from segtrain.data.datasets.shapes import Shapes
from segtrain.data.io.files import PairedFiles
from segtrain.engine.device import Compute, choose
from segtrain.engine.loader import Augmented, TrainingStream, collate, training_batches

CLASSES = 21
PEAK = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
}  # dense bfloat16 FLOP/s, makers' sheets
Batches = Iterator[tuple[Tensor, Tensor]]


class Measured(NamedTuple):
    """Of a training loop: images a second, the share of time waiting for data, peak memory in GiB."""

    speed: float
    waiting: float
    memory: float


def drawn(folder: Path, side: int, images: int = 64) -> PairedFiles:
    """Images of `shapes` as a data set of files."""
    pairs, split = [], Shapes(size=side, train_images=images).train
    for image, mask, name, _ in (split[i] for i in range(images)):
        pair = Pair(name, folder / f"{name}.jpg", folder / f"{name}.png")
        cv2.imwrite(str(pair.image), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(pair.mask), mask)
        pairs.append(pair)
    return PairedFiles(pairs, num_classes=CLASSES)


def trained(
    step: Callable[[], object], fetch: Callable[[], int], compute: Compute, seconds: float
) -> Measured:
    """Runs for so long after a tenth of it to warm up."""
    cuda = compute.device.type == "cuda"
    wait = torch.cuda.synchronize if cuda else lambda: None
    for limit in (seconds / 10, seconds):
        wait()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        images, waiting, start = 0, 0.0, time.perf_counter()
        while time.perf_counter() - start < limit or not images:
            before = time.perf_counter()
            images += fetch()
            waiting += time.perf_counter() - before
            step()
        wait()
        whole = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    return Measured(images / whole, waiting / whole, memory)


def ours(data: Augmented, compute: Compute, batch_size: int, width: float, seconds: float, workers: int):
    """Our loop, measured, and the multiply-adds of an image."""
    model = build_model("deeplabv3_torchvision", num_classes=CLASSES, width=width)
    stream = TrainingStream(len(data), batch_size, seed=0)
    batches = training_batches(data, stream, num_workers=workers)
    batch: list[Tensor] = []

    def fetch() -> int:
        batch[:] = [x.to(compute.device, non_blocking=True) for x in next(batches)[:2]]
        return batch_size

    fetch()
    step = our_step(model, batch, compute)
    work = gmacs(step) / batch_size
    return trained(step, fetch, compute, seconds), work


def theirs(
    data: Augmented, compute: Compute, batch_size: int, width: float, seconds: float, workers: int
) -> Measured:
    """torchvision's network in the form of its references' loop."""
    zoo = torchvision.models.segmentation
    make = zoo.deeplabv3_resnet50 if width == 1 else zoo.lraspp_mobilenet_v3_large
    network = make(weights=None, weights_backbone=None, num_classes=CLASSES).to(compute.device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    keys = [(0, i) for i in range(len(data))]
    loader = DataLoader(
        data, batch_size, sampler=keys, collate_fn=as_float, num_workers=workers, drop_last=True,
        persistent_workers=workers > 0, pin_memory=compute.device.type == "cuda",
    )  # fmt: skip
    batch: list[Tensor] = []

    def endless() -> Batches:
        while True:
            yield from loader

    batches = endless()

    def fetch() -> int:
        batch[:] = [x.to(compute.device, non_blocking=True) for x in next(batches)]
        return batch_size

    def step() -> float:
        images, labels = batch
        loss = F.cross_entropy(network(images)["out"], labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()  # as their metric logger does

    return trained(step, fetch, compute, seconds)


def as_float(samples) -> tuple[Tensor, Tensor]:
    """Normalised images N×3×H×W and int64 labels, as the references' presets give them."""
    images, labels, _ = collate(samples)
    return images.contiguous().float().div(255).sub(0.45).div(0.225), labels.long()


def crf(compute: Compute, batch: int, size: tuple[int, int], infer: Callable) -> float:
    """Milliseconds an image of ten iterations over a batch.

    Args:
        infer: `batch_marginals` or `triton_marginals`.
    """
    images = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, device=compute.device)
    coarse = torch.randn(batch, CLASSES, 12, 16, device=compute.device) * 3
    softmax = F.interpolate(coarse, size, mode="bilinear").softmax(1)
    kernels = read_kernels(GAUSSIAN, BILATERAL, 3, CLASSES)
    seconds = 0.0
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        infer(images, softmax, kernels, 10).sum().item()
        seconds = time.perf_counter() - start
    return 1e3 * seconds / batch


def agreement(compute: Compute, side: int, width: float) -> tuple[float, float]:
    """Of a network's float32 scores with the CPU's: the largest difference, and the share of equal labels."""
    model = build_model("deeplabv3plus", num_classes=CLASSES, width=width).eval()
    torch.nn.init.normal_(model.score.weight)
    images, _ = random_batch(1, side)
    with torch.inference_mode():
        on_cpu = model(images)["out"]
        there = model.to(compute.device)(images.to(compute.device))["out"].cpu()
    scale = on_cpu.abs().max()
    equal = (on_cpu.argmax(1) == there.argmax(1)).double().mean()
    return ((on_cpu - there).abs().max() / scale).item(), equal.item()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", type=int, default=512, help="of the windows, in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=60, help="of each loop")
    parser.add_argument(
        "--crf", type=int, nargs=3, default=(16, 375, 500), metavar=("BATCH", "HEIGHT", "WIDTH")
    )
    arguments = parser.parse_args()
    fast, full = (choose(arguments.device, precision) for precision in ("auto", "32"))
    cuda = fast.device.type == "cuda"
    name = torch.cuda.get_device_name(fast.device) if cuda else "CPU"
    workers = min(os.cpu_count() or 1, 16) if cuda else 0
    print(f"torch {torch.__version__}, {name}, precision=auto is {fast.precision}, {workers} workers\n")
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        side, batch, seconds = arguments.side, arguments.batch, arguments.seconds
        data = Augmented(drawn(Path(folder), side), scale_crop(side), seed=0)
        own, work = ours(data, fast, batch, arguments.width, seconds, workers)
        other = theirs(data, full, batch, arguments.width, seconds, workers)
    what = f"training, DeepLab v3 on ResNet-50, {batch}×{side}×{side}"
    speeds = f"{own.speed:.1f} and {other.speed:.1f} images/s"
    row(what, "torchvision's references, float32", times(own.speed / other.speed), "≥ 3 ×", speeds)
    peak = next((flops for card, flops in PEAK.items() if card in name), None)
    share = "-" if peak is None else f"{200e9 * work * own.speed / peak:.0f} %"
    row(
        "model-FLOP utilisation",
        "the card's dense bfloat16",
        share,
        "reported",
        f"{2 * work:.0f} GFLOP an image",
    )
    row("peak memory", "theirs", f"{own.memory:.1f} GiB", "reported", f"{other.memory:.1f} GiB")
    row("waiting for data", "theirs", f"{100 * own.waiting:.1f} %", "≤ 3 %", f"{100 * other.waiting:.1f} %")
    count, height, width = arguments.crf
    inferences: dict[str, Callable] = {"torch": batch_marginals}
    if fast.device.type == "cuda":
        from segtrain.crf.torch_backend.triton_backend import triton_marginals

        inferences["triton"] = triton_marginals
    for name, infer in inferences.items():
        took = crf(fast, count, (height, width), infer)
        row(
            f"CRF on {name}, {count}×{height}×{width}, 21 classes, 10 iterations",
            "",
            f"{took:.1f} ms",
            "≤ 2 ms an image",
        )
    off, equal = agreement(full, side, arguments.width)
    row(
        "scores on the card, float32",
        "the CPU's",
        f"{off:.1e}",
        "≤ 1e-2",
        f"{100 * equal:.2f} % of the labels equal",
    )


if __name__ == "__main__":
    main()
