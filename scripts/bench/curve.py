"""Whether a training run in bfloat16 goes the way of the float32 run: a few hundred steps of a narrow
DeepLab v3+ on `shapes`, and the float32 run of another seed to compare the distance with.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from measure import row

PICTURE = Path(__file__).parents[2] / "docs" / "bfloat16.png"
MODEL = ["model=deeplabv3plus", "width=0.25", "data.size=64", "data.val_images=32", "optimizer.lr=1e-3"]
RUNS = {
    "float32": ["precision=32"],
    "bfloat16": ["precision=bf16"],
    "float32, seed 1": ["precision=32", "seed=1"],
}


def losses(keys: list[str], steps: int) -> tuple[np.ndarray, float]:
    """The training loss, a mean every 10 steps, and the mean IoU at the end."""
    with tempfile.TemporaryDirectory() as folder:
        more = [
            f"max_steps={steps}",
            f"val_every={steps}",
            f"hydra.run.dir={folder}",
            "device=cpu",
            "batch_size=8",
        ]
        command = [sys.executable, "-m", "segtrain", *MODEL, *keys, *more]
        subprocess.run(command, check=True, capture_output=True)
        lines = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
    of = {split: [line for line in lines if line["split"] == split] for split in ("train", "val")}
    return np.array([line["loss"] for line in of["train"]]), of["val"][-1]["mean_iou"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    curves = {name: losses(keys, steps) for name, keys in RUNS.items()}
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    for (name, (curve, _)), style in zip(curves.items(), ("-", "--", ":"), strict=True):
        axes.plot(np.arange(1, len(curve) + 1) * 10, curve, style, label=name)
    axes.set(xlabel="steps", ylabel="training loss", ylim=0)
    axes.legend()
    figure.savefig(PICTURE, dpi=80)
    reference = curves["float32"][0]
    away = {name: np.abs(curve - reference).mean() / reference.mean() for name, (curve, _) in curves.items()}
    details = ", ".join(f"{name} {100 * iou:.1f} mean IoU" for name, (_, iou) in curves.items())
    row(
        f"bfloat16's loss over {steps} steps, mean distance",
        "the float32 run; another seed's distance",
        f"{100 * away['bfloat16']:.1f} %; {100 * away['float32, seed 1']:.1f} %",
        "below the seed's",
        details,
    )


if __name__ == "__main__":
    main()
