"""Peak memory of training steps, each in a process of its own; and how many images fit in 8 GiB.

The largest resident set of the whole process after two steps at `precision=auto` on random 256×256
images, 21 classes, SGD. A batch that fits comes from a straight line through two small batches.
"""

import argparse
import json
import resource
import subprocess
import sys
from functools import cache

from measure import our_step, random_batch, row

from segtrain import build_model
from segtrain.engine.device import choose

SIDE, LIMIT = 256, 8 * 1024  # pixels, MiB
CHECKPOINTED = ("fc_densenet103", "frrn_a")
MODELS = (
    "fcn8s deconvnet segnet deeplabv1 deeplabv2 dilatednet unet fc_densenet103 frrn_a dcn fusionnet pspnet50"
    " deeplabv3 deeplabv3plus"
).split()


def one(name: str, keys: dict, images: int) -> float:
    """MiB of this process after two steps (of one, where there is nothing to train: 0 images)."""
    compute = choose("cpu", "auto")
    model = build_model(name, num_classes=21, **keys)
    if images:
        step = our_step(model, random_batch(images, SIDE), compute)
        step()
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@cache
def measured(name: str, checkpoint: bool, images: int) -> float:
    """`one` in a process of its own."""
    keys = json.dumps({"checkpoint": True} if checkpoint else {})
    command = [sys.executable, __file__, "--one", name, keys, str(images)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def line(name: str, checkpoint: bool) -> tuple[float, float]:
    """MiB that stay whatever the batch, and those of an image."""
    few, more = (measured(name, checkpoint, images) for images in (2, 4))
    return few - (more - few), (more - few) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="those that are asked how many images fit")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "KEYS", "IMAGES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, keys, images = arguments.one
        print(one(name, json.loads(keys), int(images)))
        return
    models = arguments.models or MODELS
    for name in (name for name in CHECKPOINTED if name in models):
        (_, plain), (_, kept) = line(name, False), line(name, True)
        wanted = "≤ 0.33 ×" if name == "fc_densenet103" else "reported"
        details = f"{kept:.0f} and {plain:.0f} MiB an image of {SIDE}×{SIDE}"
        row(f"memory of an image in training, {name}, `model.checkpoint=true`", "without",
            f"{kept / plain:.2f} ×", wanted, details)  # fmt: skip
    fits = []
    for name in models:
        fixed, each = line(name, False)
        fits.append(f"{name} {max(int((LIMIT - fixed) / each), 0)}")
    row(f"images of {SIDE}×{SIDE} whose training step fits in 8 GiB", "", ", ".join(fits), "reported")


if __name__ == "__main__":
    main()
