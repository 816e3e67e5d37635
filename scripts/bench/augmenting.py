"""What a loader's worker spends beyond decoding, beside three common ways.

A 500×375 JPEG and its palette PNG become a window of 512×512 pixels, scaled by 0.5 to 2 and mirrored
half of the time, from the files to tensors, on one core. Medians of interleaved rounds in one
process; ratios are what counts, times belong to the machine. The peers are their published steps
with the same random scales, and without their packages' own overhead.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or importing it asks the network for its newest version

import albumentations
import cv2
import numpy as np
import torch
from measure import row, scale_crop, times
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

from segtrain.contracts import Pair
from segtrain.data.datasets.shapes import draw_scene
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import PairedFiles
from segtrain.engine.device import keep_freed_memory
from segtrain.engine.loader import Augmented

WINDOW, SCALES, FILL, IGNORE_INDEX = 512, (0.5, 2.0), (124, 116, 104), 255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def drawn(folder: Path) -> list[Pair]:
    """Eight images as VOC stores them: about 50 kB of JPEG at quality 92, and a palette PNG."""
    pairs = []
    for i in range(8):
        image, mask = draw_scene(np.random.default_rng(i), 500)
        pair = Pair(str(i), folder / f"{i}.jpg", folder / f"{i}.png")
        Image.fromarray(cv2.GaussianBlur(image[:375], (0, 0), 0.7)).save(pair.image, quality=92)
        labels = Image.fromarray(mask[:375], "P")
        labels.putpalette(np.array(voc_palette(256), np.uint8).tobytes())
        labels.save(pair.mask)
        pairs.append(pair)
    return pairs


def stored(voc: Path) -> list[Pair]:
    """The images of a folder in VOC's layout that have masks, at most eight."""
    masks = sorted((voc / "SegmentationClass").glob("*.png"))[:8]
    return [Pair(mask.stem, voc / "JPEGImages" / f"{mask.stem}.jpg", mask) for mask in masks]


def decode(pair: Pair, _rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """The fastest decoders that others use, and nothing else."""
    with open(pair.image, "rb") as file:
        content = np.frombuffer(file.read(), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), np.asarray(Image.open(pair.mask))


def decode_and_resize(pair: Pair, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """What is left when all but the scaling of the pixels that the window shows costs nothing."""
    image, mask = decode(pair, rng)
    scale = rng.uniform(*SCALES)
    height, width = (min(round(length * scale), WINDOW) for length in mask.shape)
    part = image[: round(height / scale), : round(width / scale)]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), mask


def ours(pairs: list[Pair]) -> Callable:
    return in_loader(pairs, scale_crop(WINDOW))


def albumentations_in_order(pairs: list[Pair]) -> Callable:
    return in_loader(
        pairs,
        [
            albumentations.RandomScale((SCALES[0] - 1, SCALES[1] - 1), p=1.0),
            albumentations.PadIfNeeded(WINDOW, WINDOW, fill=FILL, fill_mask=IGNORE_INDEX),
            albumentations.RandomCrop(WINDOW, WINDOW),
            albumentations.HorizontalFlip(),
        ],
    )


def in_loader(pairs: list[Pair], transforms: list) -> Callable:
    """What our loader's worker does: `__getitem__`, and its arrays as tensors."""
    data = Augmented(PairedFiles(pairs, num_classes=21), transforms, seed=0)

    def step(pair: Pair, rng: random.Random):
        sample = data[rng.getrandbits(30), pairs.index(pair)]
        if isinstance(sample, Exception):
            raise sample
        return torch.from_numpy(sample.image), torch.from_numpy(sample.mask)

    return step


def torchvision_references(pair: Pair, rng: random.Random):
    """RandomResize, RandomHorizontalFlip, RandomCrop, PILToTensor, Normalize, on Pillow's images."""
    image, mask = Image.open(pair.image).convert("RGB"), Image.open(pair.mask)
    side = round(min(image.size) * rng.uniform(*SCALES))
    image = F.resize(image, side, antialias=True)
    mask = F.resize(mask, side, interpolation=InterpolationMode.NEAREST)
    if rng.random() < 0.5:
        image, mask = F.hflip(image), F.hflip(mask)
    below, beside = (max(WINDOW - length, 0) for length in (image.height, image.width))
    if below or beside:
        image = F.pad(image, (0, 0, beside, below), fill=0)
        mask = F.pad(mask, (0, 0, beside, below), fill=IGNORE_INDEX)
    y, x = rng.randint(0, image.height - WINDOW), rng.randint(0, image.width - WINDOW)
    image, mask = F.crop(image, y, x, WINDOW, WINDOW), F.crop(mask, y, x, WINDOW, WINDOW)
    tensor = F.convert_image_dtype(F.pil_to_tensor(image), torch.float)
    return F.normalize(tensor, MEAN, STD), F.pil_to_tensor(mask).squeeze(0).long()


def mmsegmentation_steps(pair: Pair, rng: random.Random):
    """RandomResize, RandomCrop with cat_max_ratio 0.75, RandomFlip, PackSegInputs, on cv2's BGR.

    What is smaller than the window is padded here, which mmsegmentation leaves to the device's side.
    """
    image, mask = decode(pair, rng)
    scale = rng.uniform(*SCALES)
    size = round(mask.shape[1] * scale), round(mask.shape[0] * scale)
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    for _ in range(10):
        y = rng.randint(0, max(mask.shape[0] - WINDOW, 0))
        x = rng.randint(0, max(mask.shape[1] - WINDOW, 0))
        window = mask[y : y + WINDOW, x : x + WINDOW]
        values, counts = np.unique(window, return_counts=True)
        counts = counts[values != IGNORE_INDEX]
        if len(counts) > 1 and counts.max() / counts.sum() < 0.75:
            break
    image, mask = image[y : y + WINDOW, x : x + WINDOW], window
    if rng.random() < 0.5:
        image, mask = np.flip(image, 1), np.flip(mask, 1)
    below, beside = WINDOW - mask.shape[0], WINDOW - mask.shape[1]
    image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    mask = cv2.copyMakeBorder(mask, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=IGNORE_INDEX)
    packed = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return packed, torch.from_numpy(mask.astype(np.int64))


def measure(arms: dict[str, Callable], pairs: list[Pair], rounds: int) -> dict[str, float]:
    """Median processor seconds an image of each arm, over interleaved rounds of all images."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for i in range(rounds + 1):
        for name, step in arms.items():
            generators = [random.Random(f"{i} {pair.name}") for pair in pairs]
            start = time.thread_time()
            for pair, rng in zip(pairs, generators, strict=True):
                step(pair, rng)
            if i:  # the first round warms up
                times[name].append((time.thread_time() - start) / len(pairs))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voc", type=Path, help="a folder in VOC's layout, instead of drawn images")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    keep_freed_memory()  # as training does
    with tempfile.TemporaryDirectory() as folder:
        pairs = stored(arguments.voc) if arguments.voc else drawn(Path(folder))
        if not pairs:
            sys.exit(f"{arguments.voc}: no SegmentationClass/*.png in it")
        arms = {
            "decoding alone, cv2 and Pillow": decode,
            "the same and `cv2.resize` alone": decode_and_resize,
            "ours": ours(pairs),
            "albumentations in the naive order": albumentations_in_order(pairs),
            "mmsegmentation's steps, cv2": mmsegmentation_steps,
            "torchvision's references, Pillow": torchvision_references,
        }
        seconds = measure(arms, pairs, arguments.rounds)
    what = (
        f"loader's worker: JPEG and palette PNG to a scaled, mirrored window of {WINDOW}×{WINDOW}, one core"
    )
    wanted = {"decoding alone, cv2 and Pillow": "≥ 0.70 ×", "torchvision's references, Pillow": "≥ 5 ×"}
    for name in (name for name in arms if name != "ours"):
        details = f"{1000 * seconds['ours']:.2f} ms for {1000 * seconds[name]:.2f} ms"
        row(what, name, times(seconds[name] / seconds["ours"]), wanted.get(name, "reported"), details)


if __name__ == "__main__":
    main()
