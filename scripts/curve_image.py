"""Draws a run's loss and validation mean IoU over its steps: curve_image.py RUN OUTPUT.png"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

lines = [json.loads(line) for line in Path(sys.argv[1], "metrics.jsonl").read_text().splitlines()]
loss = [(line["step"], line["loss"]) for line in lines if line["split"] == "train"]
score = [(line["step"], 100 * line["mean_iou"]) for line in lines if line["split"] == "val"]

figure = Figure(figsize=(6, 2.6), layout="constrained")
left = figure.subplots()
left.plot(*zip(*loss, strict=True), color="0.6", linewidth=1)
left.set(xlabel="step", ylabel="training loss", yscale="log")
right = left.twinx()
right.plot(*zip(*score, strict=True), "o-", color="tab:blue", markersize=4)
right.set_ylabel("validation mean IoU, %", color="tab:blue")
right.grid(axis="y", alpha=0.3)
figure.savefig(sys.argv[2], dpi=110)
