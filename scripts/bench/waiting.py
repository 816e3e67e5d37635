"""A training step on CamVid as the loader gives it, beside the same step on one batch again and again."""

import argparse
import time

import albumentations
from measure import camvid, interleaved, our_step, row, scale_crop, times

from segtrain import build_model
from segtrain.engine.device import choose, keep_freed_memory
from segtrain.engine.loader import Augmented, TrainingStream, training_batches

SIDE = 320  # of the windows, as augment=crop has them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="deeplabv3plus")
    parser.add_argument("--images", type=int, default=4, help="a step")
    parser.add_argument("--steps", type=int, default=6, help="in a row")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    data = camvid().train
    model, compute = build_model(arguments.model, num_classes=11), choose("cpu", "auto")
    transforms = [*scale_crop(SIDE), albumentations.HueSaturationValue()]
    stream = TrainingStream(len(data), arguments.images, seed=0)
    batches = training_batches(Augmented(data, transforms, seed=0), stream, num_workers=1)
    batch, waited = list(next(batches)[:2]), []
    step = our_step(model, batch, compute)

    def real() -> None:
        for _ in range(arguments.steps):
            start = time.perf_counter()
            batch[:] = next(batches)[:2]
            waited.append(time.perf_counter() - start)
            step()

    def constant() -> None:
        for _ in range(arguments.steps):
            step()

    seconds = interleaved({"constant": constant, "real": real}, arguments.repetitions)
    each = {arm: value / arguments.steps for arm, value in seconds.items()}
    row(
        f"waiting for data: a step of {arguments.model} on {arguments.images}×{SIDE}×{SIDE} of CamVid,"
        " scaled, cropped and recoloured by 1 worker",
        "the same on a constant batch",
        times(each["real"] / each["constant"]),
        "≤ 1.05 ×",
        f"{each['real']:.3f} s for {each['constant']:.3f} s; {1e3 * sum(waited) / len(waited):.1f} ms waited",
    )


if __name__ == "__main__":
    main()
