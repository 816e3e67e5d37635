"""`make bench-crf`: the dense CRF beside pydensecrf, with the agreement in the same table.

Medians of interleaved runs over 375×500 pictures with 21 labels, 10 iterations; ratios are what
counts, times belong to the machine. `--clock cpu` counts processor time, divided by the threads, for a
machine that is busy with other things: what they do to its caches still shows. `--large` adds a picture
of 1000×2000 with 19 labels and its memory.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from pydensecrf import densecrf, utils

from segtrain.crf import dense_crf, dense_crf_labels
from segtrain.crf.ahead import refine_ahead
from segtrain.data.camvid import CamVid
from segtrain.data.sample import VOID
from segtrain.data.shapes import Shapes

LABELS, HEIGHT, WIDTH = 21, 375, 500
DROP_BELOW = 0.2  # dense_crf's default
PARAMETERS = {
    "3/3; 10/80/13": {
        "gaussian": {"sxy": 3, "compat": 3},
        "bilateral": {"sxy": 80, "srgb": 13, "compat": 10},
    },
    "3/1; 4/67/3": {"gaussian": {"sxy": 1, "compat": 3}, "bilateral": {"sxy": 67, "srgb": 3, "compat": 4}},
}
Pictures = list[tuple[np.ndarray, np.ndarray]]  # images and probabilities


def network_softmax(mask: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """What a network of stride 8 gives for these labels: right, blurred and doubtful; C×H×W."""
    rng, (height, width) = np.random.default_rng(seed), mask.shape
    coarse = (width // 8 + 1, height // 8 + 1)
    planes = []
    for label in range(labels):
        blurred = cv2.GaussianBlur((mask == label).astype(np.float32), (0, 0), 6)
        score = 12 * cv2.resize(blurred, coarse, interpolation=cv2.INTER_AREA)
        score += rng.normal(0, 1, score.shape) - rng.gamma(2, 1, score.shape)
        planes.append(cv2.resize(score.astype(np.float32), (width, height)))
    exponentials = np.exp(np.stack(planes) - np.max(planes, 0))
    return exponentials / exponentials.sum(0)


def few_classes(mask: np.ndarray) -> np.ndarray:
    """The four commonest classes of a picture; what is of another becomes the commonest."""
    classes, counts = np.unique(mask[mask != VOID], return_counts=True)
    common = classes[np.argsort(-counts)][:4]
    return np.where(np.isin(mask, common), mask, common[0])


def load_pictures(camvid: str | None, count: int, *, few: bool) -> Pictures:
    dataset = CamVid(root=camvid, num_classes=11).val if camvid else Shapes(size=WIDTH).val
    pictures = []
    for i in range(count):
        sample = dataset[i * len(dataset) // count]
        image = cv2.resize(sample.image, (WIDTH, sample.image.shape[0] * WIDTH // sample.image.shape[1]))
        image = np.ascontiguousarray(image[:HEIGHT])
        mask = cv2.resize(sample.mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        pictures.append((image, network_softmax(few_classes(mask) if few else mask, LABELS, i)))
    return pictures


def by_pydensecrf(
    image: np.ndarray, probabilities: np.ndarray, gaussian: dict, bilateral: dict
) -> np.ndarray:
    """Marginals, as pydensecrf's README has them computed."""
    field = densecrf.DenseCRF2D(*image.shape[1::-1], len(probabilities))
    field.setUnaryEnergy(np.ascontiguousarray(utils.unary_from_softmax(probabilities)))
    field.addPairwiseGaussian(**gaussian)
    field.addPairwiseBilateral(rgbim=image, **bilateral)
    return np.asarray(field.inference(10)).reshape(probabilities.shape)


def compare(pictures: Pictures, parameters: dict, threads: int, repetitions: int, clock: Callable) -> str:
    """A row of the table."""

    def reference() -> list[np.ndarray]:
        return [by_pydensecrf(*picture, **parameters).argmax(0) for picture in pictures]

    def ours(threads: int, drop_below: float) -> list[np.ndarray]:
        refine = partial(dense_crf_labels, backend="numba", drop_below=drop_below, **parameters)
        tasks = ((i, *picture) for i, picture in enumerate(pictures))
        return [labels for _, labels in refine_ahead(refine, tasks, threads)]

    counts = [1, 1, threads, 1, threads]
    arms = [reference, *(partial(ours, t, d) for d in (0, DROP_BELOW) for t in (1, threads))]
    labels, times = [arm() for arm in arms], [[] for _ in arms]  # the first run compiles
    equal = [min((a == b).mean() for a, b in zip(found, labels[0], strict=True)) for found in labels]
    exact = partial(dense_crf, backend="numba", drop_below=0, **parameters)
    deviation = max(np.abs(exact(*p) - by_pydensecrf(*p, **parameters)).max() for p in pictures)
    for _ in range(repetitions):
        for arm, count, taken in zip(arms, counts, times, strict=True):
            start = clock()
            arm()
            shared = count if clock is time.process_time else 1
            taken.append((clock() - start) / len(pictures) / shared)
    first, *others = map(statistics.median, times)
    ratios = " | ".join(f"{first / other:.1f}×" for other in others)
    return f"{first:.3f} s | {ratios} | {deviation:.0e} | {100 * equal[1]:.3f} % | {100 * equal[3]:.3f} %"


def large(backend: str) -> None:
    """Processor time and peak memory of one picture in a process of its own; one thread computes."""
    mask = np.kron(np.random.default_rng(0).integers(0, 19, (10, 20)), np.ones((100, 100), int))
    image = (mask[..., None] * np.array([11, 7, 3])).astype(np.uint8)
    softmax = network_softmax(mask, 19, 0)
    exact = partial(dense_crf, drop_below=0, backend=backend)
    for size in (8, 1000) if backend != "nothing" else ():  # the first one compiles
        start = time.process_time()
        exact(image[:size], softmax[:, :size])
        print(time.process_time() - start)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camvid", help="the folder with train.txt; else the pictures are of `shapes`")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--large", nargs="?", const="all", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.large and arguments.large != "all":
        large(arguments.large)
        return
    load = "/".join(f"{average:.1f}" for average in os.getloadavg())
    print(f"{os.cpu_count()} processors, load {load}, {arguments.pictures} pictures, {arguments.clock} clock")
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    heads = [
        f"{what}, {t} thread{'s' * (t > 1)}"
        for what in ("all labels", "default")
        for t in (1, arguments.threads)
    ]
    print(
        f"| classes | parameters | pydensecrf | {' | '.join(heads)} | marginals | labels | default labels |"
    )
    print("|---" * (len(heads) + 6) + "|")
    for few in (False, True):
        pictures = load_pictures(arguments.camvid, arguments.pictures, few=few)
        for name, parameters in PARAMETERS.items():
            row = compare(pictures, parameters, arguments.threads, arguments.repetitions, clock)
            print(f"| {'few' if few else 'many'} | {name} | {row} |", flush=True)
    if arguments.large:
        print("\n1000×2000, 19 labels, with what the process needs without a CRF:")
        for backend in ("nothing", "pydensecrf", "numba"):
            command = [sys.executable, __file__, "--large", backend]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            *seconds, peak = map(float, output.split())
            taken = f"{seconds[-1]:6.2f} s" if seconds else ""
            print(f"  {backend:12}{taken:10} peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
