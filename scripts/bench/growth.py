"""How time grows with the work: a training step against batch, image side and classes, an evaluation
against images; each beside the straight line in the work, and the largest way off it.

Draws docs/growth.png.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from measure import Step, interleaved, our_step, random_batch, row

from segtrain import build_model
from segtrain.data.datasets.shapes import Shapes
from segtrain.engine.device import choose, keep_freed_memory
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Predictor
from segtrain.inference import Whole

IMAGE = Path(__file__).parents[2] / "docs" / "growth.png"
BATCHES, SIDES, CLASSES, IMAGES = (2, 4, 8, 16), (96, 128, 192, 256), (2, 21, 60, 150), (8, 16, 32, 64)
Curve = tuple[Sequence[float], Sequence[float]]  # amounts of work, seconds


def step(images: int, side: int, classes: int) -> Step:
    model = build_model("deeplabv3plus", num_classes=classes, separable=True)
    return our_step(model, random_batch(images, side, classes), choose("cpu", "auto"))


def evaluation(images: int) -> Step:
    data, compute = Shapes(val_images=images), choose("cpu", "auto")
    model = build_model("segnet_basic", num_classes=7).to(memory_format=torch.channels_last).eval()
    predict = Predictor(model, Whole(), compute)
    return lambda: evaluate_split(predict, data.val, data.class_names, compute.device, EvaluationSettings(4))


def curve(work: Sequence[float], arms: dict[str, Step], repetitions: int) -> Curve:
    return work, list(interleaved(arms, repetitions).values())


def line(work: Sequence[float], seconds: Sequence[float]) -> tuple[np.ndarray, float]:
    """The straight line through the points, and the largest way off it as a share of the time."""
    fitted = np.polyval(np.polyfit(work, seconds, 1), work)
    return fitted, float(np.max(np.abs(fitted / np.asarray(seconds) - 1)))


def draw(curves: dict[str, Curve]) -> None:
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axes, (name, (work, seconds)) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        axes.plot(work, line(work, seconds)[0], color="lightgrey")
        axes.plot(work, seconds, "o", markersize=4)
        axes.set(xlabel=name, xlim=0, ylim=0)
    figure.supylabel("seconds")
    figure.savefig(IMAGE, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    repetitions = parser.parse_args().repetitions
    keep_freed_memory()
    curves = {
        "images a step": curve(BATCHES, {str(n): step(n, 128, 21) for n in BATCHES}, repetitions),
        "pixels of an image": curve(
            [side**2 for side in SIDES], {str(n): step(2, n, 21) for n in SIDES}, repetitions
        ),
        "classes": curve(CLASSES, {str(n): step(2, 128, n) for n in CLASSES}, repetitions),
        "images evaluated": curve(IMAGES, {str(n): evaluation(n) for n in IMAGES}, repetitions),
    }
    draw(curves)
    for name, (work, seconds) in curves.items():
        details = ", ".join(f"{w}: {s:.2f} s" for w, s in zip(work, seconds, strict=True))
        off = f"{100 * line(work, seconds)[1]:.0f} % off"
        row(f"time against {name}", "a straight line", off, "reported", details)


if __name__ == "__main__":
    main()
