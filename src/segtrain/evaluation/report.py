"""What an evaluation leaves beside metrics.json: a line an image, the worst and the best of them, the
confusion matrix, and how far the mean IoU is to be trusted."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from segtrain.distributed import process_group
from segtrain.evaluation import bootstrap
from segtrain.evaluation.evaluate import Seen
from segtrain.loggers.run_log import METRIC_LABELS
from segtrain.metrics.regions import scores
from segtrain.viz.contact_sheet import Extremes, contact_sheet, ends
from segtrain.viz.drawing import confusion_figure, trimap_figure


class Line(NamedTuple):
    """An image: its place in the split, its name, and of the network and the CRF, if there is one, the
    four metrics and the counts of each class's pixels, int64 3×C."""

    index: int
    name: str
    metrics: list[dict]
    counts: list[np.ndarray]


class Report:
    """Watches an evaluation; after it, adds to its metrics and writes files into a folder.

    Args:
        class_names, palette: the data set's.
    """

    def __init__(self, class_names, palette):
        self.class_names, self.palette = class_names, palette
        self.lines: list[Line] = []
        self.extremes = Extremes(palette)

    def watch(self, seen: Seen) -> None:
        """Takes an image up."""
        metrics = [scores(matrix, ()) for matrix in seen.matrices]
        counts = [bootstrap.image_counts(matrix.numpy()) for matrix in seen.matrices]
        self.lines.append(Line(seen.index, seen.sample.name, metrics, counts))
        if metrics[-1]["mean_iou"] is not None:
            self.extremes.add(seen, metrics[-1]["mean_iou"])

    def gather(self) -> None:
        """Brings the images of all processes together, in the order of the split."""
        self.lines = sorted(process_group.gathered(self.lines), key=lambda line: line.index)
        self.extremes.rows = ends(sorted(process_group.gathered(self.extremes.rows)))

    def counts(self, which: int = -1) -> np.ndarray:
        """int64 N×3×C of the network (0) or of what the evaluation ends with (-1)."""
        return np.stack([line.counts[which] for line in self.lines])

    def with_intervals(self, metrics: dict) -> dict:
        """The metrics with the 95 % interval of each mean IoU and of the CRF's gain."""
        metrics = metrics | {"mean_iou_interval": bootstrap.interval(self.counts())}
        if "without_crf" in metrics:
            alone = {"mean_iou_interval": bootstrap.interval(self.counts(0))}
            metrics["without_crf"] = metrics["without_crf"] | alone
            gain = bootstrap.difference(self.counts(0), self.counts())
            metrics["crf_gain"] = gain._asdict() | {"told_apart": gain.told_apart}
        return metrics

    def write(self, folder: Path, metrics: dict) -> None:
        """images.csv, contact_sheet.png, confusion_matrix.csv and .png; trimap.png if it was measured."""
        if process_group.rank() > 0:
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_images(self.lines, folder / "images.csv")
        matrix = metrics["confusion_matrix"]
        rows = ([name, *row] for name, row in zip(self.class_names, matrix, strict=True))
        write_rows([["labelled \\ predicted", *self.class_names], *rows], folder / "confusion_matrix.csv")
        confusion_figure(matrix, self.class_names).savefig(folder / "confusion_matrix.png", dpi=120)
        if "trimap_mean_iou" in metrics:
            stages = {"network": metrics.get("without_crf", metrics)}
            stages |= {"with CRF": metrics} if "without_crf" in metrics else {}
            curves = {name: stage["trimap_mean_iou"] for name, stage in stages.items()}
            trimap_figure(curves).savefig(folder / "trimap.png", dpi=120)
        if self.extremes.rows:
            sheet = contact_sheet(self.extremes.rows, self.class_names, self.palette)
            Image.fromarray(sheet).save(folder / "contact_sheet.png")


def write_images(lines: list[Line], path: Path) -> None:
    """A row an image: its name and the four metrics, with a CRF also those of the network alone."""
    rows = []
    for line in lines:
        rows.append({"name": line.name} | {key: line.metrics[-1][key] for key in METRIC_LABELS})
        if len(line.metrics) == 2:
            rows[-1] |= {f"{key}_without_crf": line.metrics[0][key] for key in METRIC_LABELS}
    write_rows([list(rows[0]), *(list(row.values()) for row in rows)], path)


def write_rows(rows: Iterable[list], path: Path) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
