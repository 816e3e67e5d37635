"""Folders of runs as trainings leave them, without a training."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from segtrain.contracts import Sample
from segtrain.metrics.regions import class_counts, confusion_matrix, scores
from segtrain.reports.kept import KeptImages

NAMES = ("sky", "road", "tree", "car")
PALETTE = ((128, 192, 255), (96, 96, 96), (32, 128, 48), (200, 32, 32))
COST = {"size": [64, 96], "hardware": "A processor", "threads": 1}


@cache
def an_image(number: int, size: tuple[int, int]) -> Sample:
    """Stripes and a box, the same for every run."""
    random = np.random.default_rng(number)
    height, width = size
    mask = np.zeros(size, np.uint8)
    mask[int(height * random.uniform(0.3, 0.6)) :] = 1
    mask[:, : int(width * random.uniform(0.1, 0.4))] = 2
    top, left = (int(random.uniform(0.2, 0.6) * side) for side in size)
    mask[top : top + height // 5, left : left + width // 5] = 3
    mask[:2] = 255
    colours = np.array([*PALETTE, *[(0, 0, 0)] * 252], np.uint8)
    return Sample(colours[mask] // 2 + random.integers(0, 90, (*size, 3), np.uint8), mask, f"{number:03}.png")


def predicted(sample: Sample, quality: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, some of whose blocks are wrong, and their confidence."""
    random = np.random.default_rng([seed, int(sample.name[:3])])
    height, width = sample.mask.shape
    coarse = random.uniform(size=(-(-height // 8), -(-width // 8)))
    drawn = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    labels = np.where(sample.mask == 255, 0, sample.mask)
    labels = np.where(drawn > quality, (labels + 1) % len(NAMES), labels).astype(np.uint8)
    return labels, (0.5 + 0.5 * np.abs(drawn - quality)).astype(np.float32)


def make_run(
    folder: Path,
    *overrides: str,
    quality: float = 0.8,
    seed: int = 0,
    images: int = 5,
    size: tuple[int, int] = (64, 96),
    crf: bool = False,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes what a training of `overrides` leaves, and returns its `metrics.json`."""
    kept = KeptImages(images, NAMES, PALETTE)
    matrices = [torch.zeros(len(NAMES), len(NAMES), dtype=torch.int64) for _ in range(1 + crf)]
    for number in range(images):
        sample = an_image(number, size)
        stages = [predicted(sample, q, seed) for q in (quality, quality + 0.1)[: 1 + crf]]
        own = [
            confusion_matrix(*map(torch.from_numpy, (sample.mask, labels)), len(NAMES))
            for labels, _ in stages
        ]
        matrices = [whole + each for whole, each in zip(matrices, own, strict=True)]
        counts = [class_counts(matrix).numpy() for matrix in own]
        kept.add(number, sample, [labels for labels, _ in stages], counts, stages[-1][1])
    kept.write(folder)
    found = [_as_json(matrix) for matrix in matrices]
    metrics = found[-1] | ({"without_crf": found[0]} if crf else {})
    metrics |= {"images": images, "seconds": 1.5, "parameters": 1_234_567 + 1000 * len(" ".join(overrides))}
    metrics["confusion_matrix"] = matrices[-1].tolist()
    cost = COST | {"multiply_adds": int(1e9 * quality), "latency": quality / 100, "peak_memory": 2**30}
    metrics |= {"cost": cost, "overrides": [*overrides, f"seed={seed}"]} | (extra or {})
    lines = [
        {
            "step": step,
            "split": "train",
            "loss": 2 / step * (1 + seed / 9),
            "lr": 0.01,
            "images_per_second": 20.0,
        }
        | {"seconds_per_step": 0.5}
        for step in range(10, 101, 10)
    ]
    lines += [{"step": s, "split": "val", "mean_iou": metrics["mean_iou"] * s / 100} for s in (50, 100)]
    config: dict[str, Any] = {"seed": seed, "max_steps": 100, "model": {"width": 1.0, "name": overrides[0]}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return metrics


def _as_json(matrix: torch.Tensor) -> dict[str, Any]:
    made = scores(matrix, NAMES)
    four = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
    values = {key: getattr(made, key) for key in four}
    return values | {"per_class": made.per_class, "conventions": made.conventions, "mean_iou_interval": None}


def make_sweep(folder: Path) -> dict[str, dict[str, Any]]:
    """Three models of two seeds, a run that failed and one that was killed; the metrics by folder."""
    found = {}
    for model, quality in (("fcn32s", 0.7), ("fcn16s", 0.72), ("fcn8s", 0.9)):
        for seed in (0, 1):
            name = f"{len(found)}"
            found[name] = make_run(folder / name, f"model={model}", quality=quality - seed / 50, seed=seed)
    (folder / "6").mkdir()
    failed = {
        "error": "the loss is nan at step 3; lower optimizer.lr",
        "exit_code": 3,
        "overrides": ["model=unet"],
    }
    (folder / "6/metrics.json").write_text(json.dumps(failed))
    (folder / "7").mkdir()
    (folder / "7/config.yaml").write_text("max_steps: 100\n")
    (folder / "7/metrics.jsonl").write_text('{"step": 40, "split": "train", "loss": 1.0}\n{"step": 50, "sp')
    (folder / "8").mkdir()
    (folder / "8/metrics.json").write_text('{"mean_iou": 0.5,')
    return found
