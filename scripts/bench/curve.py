"""Whether training in bfloat16 goes the way of float32: a few hundred steps of a narrow DeepLab v3+ on
`shapes` from three seeds, and what lies between the float32 runs of two seeds to compare with.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from measure import row

IMAGE = Path(__file__).parents[2] / "docs" / "bfloat16.png"
MODEL = ["model=deeplabv3plus", "width=0.25", "data.size=64", "data.val_images=32", "optimizer.lr=1e-3"]
PRECISIONS, SEEDS = {"float32": "32", "bfloat16": "bf16"}, (0, 1, 2)


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
    runs = {
        (name, seed): losses([f"precision={key}", f"seed={seed}"], steps)
        for seed in SEEDS
        for name, key in PRECISIONS.items()
    }
    draw({run: curve for run, (curve, _) in runs.items()})
    full, fast = (np.stack([runs[name, seed][0] for seed in SEEDS]) for name in PRECISIONS)
    between = np.mean([np.abs(full[a] - full[b]).mean() for a, b in itertools.combinations(SEEDS, 2)])
    away, between = np.abs(fast - full).mean() / full.mean(), between / full.mean()
    scores = {name: [100 * runs[name, seed][1] for seed in SEEDS] for name in PRECISIONS}
    details = "; ".join(
        f"{name}: {', '.join(f'{score:.1f}' for score in found)} mean IoU" for name, found in scores.items()
    )
    row(
        f"bfloat16's loss over {steps} steps, mean distance from float32's, {len(SEEDS)} seeds",
        "two seeds' distance in float32",
        f"{100 * away:.1f} % for {100 * between:.1f} %",
        "below it",
        details,
    )


def draw(curves: dict[tuple[str, int], np.ndarray]) -> None:
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    for (name, seed), curve in curves.items():
        style, label = ("-" if name == "float32" else "--"), name if seed == SEEDS[0] else None
        axes.plot(np.arange(1, len(curve) + 1) * 10, curve, style, color=f"C{seed}", label=label, linewidth=1)
    axes.set(xlabel="steps", ylabel="training loss", ylim=0)
    axes.legend()
    figure.savefig(IMAGE, dpi=80)


if __name__ == "__main__":
    main()
