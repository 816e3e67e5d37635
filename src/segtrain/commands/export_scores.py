"""How good and how fast an exported file is: its mean IoU and latency beside those of torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.commands.build import build_data, task_of
from segtrain.commands.cost import hardware, median_seconds
from segtrain.commands.paths import relative
from segtrain.config.compose import WHOLE
from segtrain.config.instantiate import instantiate
from segtrain.contracts import Dataset, Sample, Split
from segtrain.engine.device import Compute
from segtrain.errors import InputError
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Predict, Predictor
from segtrain.export.network import Run
from segtrain.export.runners import runner
from segtrain.files import write_bytes
from segtrain.input_spec import InputSpec
from segtrain.progress import Terminal
from segtrain.tasks import Task
from segtrain.viz.tables import percent, table

CPU = Compute(torch.device("cpu"), "32")


class Written(NamedTuple):
    """A file that was written: what a table calls it, and its path."""

    name: str
    path: Path


class FromFile(Predict):
    """An exported file as what labels samples, an image at a time.

    Args:
        run: the file's network.
        output: what it gives, logits or labels.
        task: what its logits mean.
    """

    def __init__(self, run: Run, output: str, task: Task):
        self.run, self.output, self.task = run, output, task

    @torch.inference_mode()
    def labels(self, samples: list[Sample]) -> Tensor:
        return torch.cat([self._labels(sample) for sample in samples])

    def _labels(self, sample: Sample) -> Tensor:
        given = self.run(images_of(sample))
        if self.output == "labels":
            return given
        return self.task.labels(self.task.unfolded(self.task.class_logits(given).softmax(1), 1))


def images_of(sample: Sample) -> Tensor:
    """A sample's image as a file takes it: 1×C×H×W, uint8, or float32 of all other numbers."""
    image = sample.image if sample.image.dtype == np.uint8 else sample.image.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def calibration_samples(config: dict[str, Any], spec: InputSpec) -> Iterator[np.ndarray]:
    """Images of the training split, evenly over it, as many as `calibration` says, as the file takes them.

    Raises:
        InputError: the data are not here, or an image is of another size than the file takes.
    """
    split = build_data(config).train
    count = min(config["calibration"], len(split))
    for index in np.linspace(0, len(split) - 1, count).round().astype(int):
        sample = Sample(*split[int(index)]).of(spec)
        check_size(config, sample)
        yield images_of(sample).numpy()


def check_size(config: dict[str, Any], sample: Sample) -> None:
    """Raises InputError where a file for one size does not take an image."""
    size = list(sample.image.shape[:2])
    if not config["dynamic"] and size != list(config["size"]):
        raise InputError(
            f"dynamic=false size={list(config['size'])}: {sample.name} is of {size[0]}×{size[1]}",
            do=f"give size=[{size[0]},{size[1]}], or dynamic=true",
        )


def score(
    config: dict[str, Any], model: nn.Module, spec: InputSpec, files: list[Written], console: Terminal
) -> None:
    """Evaluates files on the whole images of the validation split, prints a table, and writes it as JSON
    beside the last of them.

    Args:
        config: the checkpoint's, with the user's keys on top.
        model: that was exported.
        spec: of its images.
        files: what was written.
        console: where the table goes.

    Raises:
        InputError: the data are not here, or the images not of the size that the file takes.
        SaveError: the JSON cannot be written.
    """
    data, task = build_data(config), task_of(config)
    first = Sample(*data.val[0]).of(spec)
    check_size(config, first)
    rows = {
        "torch": _measured(data, Predictor(model, instantiate(WHOLE, "inference"), CPU, task), first, spec)
    }
    for name, path in files:
        exported = FromFile(runner(path), config["output"], task)
        rows[name] = _measured(data, exported, first, spec) | {"file": path.name}
    height, width = first.image.shape[:2]
    result = table(f"{len(data.val)} validation images, whole", "", "mean IoU %", f"ms for {height}×{width}")
    for name, row in rows.items():
        result.add_row(name, percent(row["mean_iou"]), f"{1000 * row['latency']:.1f}")
    console.print(result)
    of = {"images": len(data.val), "size": [height, width], "hardware": hardware(CPU)}
    about = of | {"threads": torch.get_num_threads(), "scores": rows}
    target = files[-1].path.with_suffix(".json")
    write_bytes(target, json.dumps(about, indent=2).encode())
    console.print(f"scores: {relative(target)}", markup=False)


def _measured(data: Dataset, predict: Predict, sample: Sample, spec: InputSpec) -> dict[str, Any]:
    """Mean IoU over the validation split, and the median seconds of one image."""
    split: Split = data.val
    result = evaluate_split(predict, split, data.class_names, CPU.device, EvaluationSettings(), spec=spec)
    latency = median_seconds(lambda: predict.labels([sample]))
    return {"mean_iou": result.network.mean_iou, "latency": latency}
