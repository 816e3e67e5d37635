"""The dense CRF beside pydensecrf, with the agreement in the same table.

Medians of interleaved runs over 375×500 images with 21 labels, 10 iterations: CamVid's, where
SEGTRAIN_DATA names the folder that it is in, else of `shapes`. One image of 1000×2000 with 19 labels
is computed in a process of its own, for its memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from measure import camvid, interleaved, row, times
from pydensecrf import densecrf, utils

from segtrain.contracts import IGNORE_INDEX
from segtrain.crf import dense_crf, dense_crf_labels
from segtrain.crf.pipeline import refine_in_threads
from segtrain.data.datasets.shapes import Shapes

LABELS, HEIGHT, WIDTH = 21, 375, 500
DROPPING = 0.1
PARAMETERS = {  # and the targets: all labels, which is the default, and with labels dropped
    "3/3; 10/80/13": ({"sxy": 3, "compat": 3}, {"sxy": 80, "srgb": 13, "compat": 10}, "≥ 11 ×", "reported"),
    "3/1; 4/67/3": ({"sxy": 1, "compat": 3}, {"sxy": 67, "srgb": 3, "compat": 4}, "≥ 7.5 ×", "reported"),
}
Images = list[tuple[np.ndarray, np.ndarray]]  # images and probabilities


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
    """The four commonest classes of an image; what is of another becomes the commonest."""
    classes, counts = np.unique(mask[mask != IGNORE_INDEX], return_counts=True)
    common = classes[np.argsort(-counts)][:4]
    return np.where(np.isin(mask, common), mask, common[0])


def load_images(count: int, *, few: bool) -> Images:
    dataset = camvid().val if "SEGTRAIN_DATA" in os.environ else Shapes(size=WIDTH).val
    images = []
    for i in range(count):
        sample = dataset[i * len(dataset) // count]
        image = cv2.resize(sample.image, (WIDTH, sample.image.shape[0] * WIDTH // sample.image.shape[1]))
        image = np.ascontiguousarray(image[:HEIGHT])
        mask = cv2.resize(sample.mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        images.append((image, network_softmax(few_classes(mask) if few else mask, LABELS, i)))
    return images


def by_pydensecrf(
    image: np.ndarray, probabilities: np.ndarray, gaussian: dict, bilateral: dict
) -> np.ndarray:
    """Marginals, as pydensecrf's README has them computed."""
    field = densecrf.DenseCRF2D(*image.shape[1::-1], len(probabilities))
    field.setUnaryEnergy(np.ascontiguousarray(utils.unary_from_softmax(probabilities)))
    field.addPairwiseGaussian(**gaussian)
    field.addPairwiseBilateral(rgbim=image, **bilateral)
    return np.asarray(field.inference(10)).reshape(probabilities.shape)


def compare(few: bool, name: str, count: int, threads: int, repetitions: int) -> None:
    """Two rows of the table: all labels, and those that `drop_below` leaves."""
    images, classes = load_images(count, few=few), "3 to 5 classes" if few else "many classes"
    gaussian, bilateral, *wanted = PARAMETERS[name]
    parameters = {"gaussian": gaussian, "bilateral": bilateral}

    def reference() -> list[np.ndarray]:
        return [by_pydensecrf(*image, **parameters).argmax(0) for image in images]

    def ours(threads: int, keys: dict) -> list[np.ndarray]:
        refine = partial(dense_crf_labels, backend="numba", **parameters, **keys)
        tasks = ((i, *image) for i, image in enumerate(images))
        return [labels for _, labels in refine_in_threads(refine, tasks, threads)]

    kinds = {"all labels": {}, f"drop_below={DROPPING}": {"drop_below": DROPPING}}
    arms: dict[tuple[str, int], Callable] = {("pydensecrf", 1): reference}
    arms |= {(kind, t): partial(ours, t, keys) for kind, keys in kinds.items() for t in (1, threads)}
    labels = {arm: run() for arm, run in arms.items()}
    exact = partial(dense_crf, backend="numba", **parameters)
    away = max(np.abs(exact(*p) - by_pydensecrf(*p, **parameters)).max() for p in images)
    seconds = interleaved(arms, repetitions)
    theirs = seconds["pydensecrf", 1]
    for kind, target in zip(kinds, wanted, strict=True):
        pairs = zip(labels[kind, 1], labels["pydensecrf", 1], strict=True)
        equal = min((a == b).mean() for a, b in pairs)
        details = f"{times(theirs / seconds[kind, 1])} on one; {theirs / len(images):.2f} s for theirs;"
        details += f" {100 * equal:.3f} % of labels equal in the worst image"
        details += f", marginals within {away:.0e}" if kind == "all labels" else ""
        what = f"CRF, 375×500, {classes}, kernels {name}, {kind}, {threads} threads"
        row(what, "pydensecrf, one process", times(theirs / seconds[kind, threads]), target, details)


def large(backend: str) -> None:
    """Processor time and peak memory of one image in a process of its own; one thread computes."""
    mask = np.kron(np.random.default_rng(0).integers(0, 19, (10, 20)), np.ones((100, 100), int))
    image = (mask[..., None] * np.array([11, 7, 3])).astype(np.uint8)
    softmax = network_softmax(mask, 19, 0)
    exact = partial(dense_crf, backend=backend)
    for size in (8, 1000) if backend != "nothing" else ():  # the first one compiles
        start = time.process_time()
        exact(image[:size], softmax[:, :size])
        print(time.process_time() - start)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def compare_large() -> None:
    seconds, peak = {}, {}
    for backend in ("nothing", "pydensecrf", "numba"):
        command = [sys.executable, __file__, "--large", backend]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        *seconds[backend], peak[backend] = map(float, output.split())
    ours, theirs = (seconds[backend][-1] for backend in ("numba", "pydensecrf"))
    details = f"{ours:.2f} s for {theirs:.2f} s; the process takes {peak['numba']:.2f} GiB for"
    details += f" {peak['pydensecrf']:.2f} GiB, {peak['nothing']:.2f} GiB without a CRF"
    what = "CRF, 1000×2000, 19 labels, all kept, 1 thread"
    row(what, "pydensecrf", times(theirs / ours), "reported", details)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--large", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.large:
        large(arguments.large)
        return
    for few in (False, True):
        for name in PARAMETERS:
            compare(few, name, arguments.images, arguments.threads, arguments.repetitions)
    compare_large()


if __name__ == "__main__":
    main()
