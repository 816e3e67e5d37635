"""What the training loop itself costs a step: a network of one convolution, with loader, augmentation,
clipping, logging and TensorBoard, beside a bare loop of ten lines over the same images.

Seconds of the process, which a busy machine does not lengthen: those of a long run less those of a short.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import row
from tiny import Constant, Pixel
from torch.nn import functional as F
from torch.utils.data import DataLoader

HERE = Path(__file__).parent
IMAGES = 1  # a step: what an image costs is the loader's


def bare(steps: int) -> float:
    """Seconds of a loop that does nothing but train."""
    model = Pixel(num_classes=7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    data = [(s.image.transpose(2, 0, 1), s.mask) for s in Constant(side=16, images=64, num_classes=7).train]
    loader, done, start = DataLoader(data, IMAGES, shuffle=True), 0, time.process_time()
    while done < steps:
        for images, labels in loader:
            loss = F.cross_entropy(model(images)["out"], labels.long(), ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
    return time.process_time() - start


def ours(steps: int) -> float:
    """Seconds of a whole run of `segtrain`."""
    with tempfile.TemporaryDirectory() as folder:
        keys = ["model=pixel", "data=constant", "augment=none", f"max_steps={steps}", f"val_every={steps}"]
        keys += [
            f"batch_size={IMAGES}",
            f"hydra.run.dir={folder}/run",
            "num_workers=0",
            "device=cpu",
            "precision=32",
        ]
        command = [sys.executable, "-m", "segtrain", "--config-dir", str(HERE / "conf"), *keys]
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        before = _children()
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    bare(100)
    costs = {
        name: 1e3 * (run(steps + 1) - run(1)) / steps for name, run in {"ours": ours, "bare": bare}.items()
    }
    own = costs["ours"] - costs["bare"]
    details = f"{costs['ours']:.2f} ms for {costs['bare']:.2f} ms"
    row("the loop's own cost a step", "a bare loop of ten lines", f"{own:.2f} ms", "≤ 0.5 ms", details)


if __name__ == "__main__":
    main()
