"""What the parts of `make bench-gpu` have in common: sizes, devices, and images drawn into files."""

from pathlib import Path
from typing import NamedTuple

import cv2
import torch

from segtrain.contracts import Pair
from segtrain.data.datasets.shapes import Shapes
from segtrain.data.io.files import PairedFiles
from segtrain.engine.device import Compute

CLASSES = 21
PEAK = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
}  # dense bfloat16 FLOP/s, by the makers


class Sizes(NamedTuple):
    """How large everything is.

    Attributes:
        side: of the training's windows in pixels; batch: of them.
        seconds: of each training loop; width: of the networks, 1 is the papers'.
        images: that are drawn; evaluated: how many predictions are timed.
        crf: batch, height, width and classes of each field.
    """

    side: int = 512
    batch: int = 16
    seconds: float = 8.0
    width: float = 1.0
    images: int = 64
    evaluated: int = 256
    voc: tuple[int, int] = (375, 500)
    crf: tuple[tuple[int, int, int, int], ...] = ((1, 375, 500, 21), (16, 375, 500, 21), (1, 1024, 2048, 19))


TINY = Sizes(32, 2, 0.05, 1 / 16, 4, 4, (24, 32), ((1, 16, 24, 5), (2, 16, 24, 5)))


class Setting(NamedTuple):
    """Where and how is measured: the fast precision and float32; loader processes; a folder for files."""

    fast: Compute
    full: Compute
    workers: int
    sizes: Sizes
    folder: Path


def drawn(folder: Path, size: tuple[int, int], images: int) -> PairedFiles:
    """Images of `shapes` as a data set of JPEG and PNG files, cut to a height and a width."""
    folder.mkdir(exist_ok=True)
    height, width = size
    pairs, split = [], Shapes(size=max(size), train_images=images).train
    for image, mask, name, _ in (split[i] for i in range(images)):
        pair = Pair(name, folder / f"{name}.jpg", folder / f"{name}.png")
        cv2.imwrite(str(pair.image), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)[:height, :width])
        cv2.imwrite(str(pair.mask), mask[:height, :width])
        pairs.append(pair)
    return PairedFiles(pairs, num_classes=CLASSES)


def synchronise(compute: Compute) -> None:
    """Waits until a GPU has done all that was queued."""
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)
