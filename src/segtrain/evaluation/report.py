"""What an evaluation writes beside `metrics.json`: a row for each image, the worst and the best images,
the confusion matrix; and the intervals of the mean IoU."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segtrain.contracts import Colour
from segtrain.distributed import process_group
from segtrain.evaluation import bootstrap
from segtrain.evaluation.evaluate import ImageResult
from segtrain.evaluation.result import EvaluationResult
from segtrain.files import write_atomically
from segtrain.metrics.regions import Scores, class_counts, scores
from segtrain.viz.contact_sheet import BestAndWorst, contact_sheet
from segtrain.viz.drawing import confusion_figure, trimap_figure, write_figure, write_image
from segtrain.viz.tables import METRIC_LABELS


class ImageScores(NamedTuple):
    """The scores of one image.

    Attributes:
        position: in the split; `name`: of the image.
        scores: of the network and, with a CRF, after it.
        counts: the same stages' correct, target and predicted pixels of each class, int64 3×C.
    """

    position: int
    name: str
    scores: list[Scores]
    counts: list[np.ndarray]


class Report:
    """Collects the results of the images of an evaluation; then adds intervals and writes files.

    Args:
        class_names, palette: the data set's.

    Attributes:
        images: the scores of each image.
        extremes: the worst and the best images, drawn.
    """

    def __init__(self, class_names: tuple[str, ...], palette: tuple[Colour, ...]):
        self.class_names, self.palette = class_names, palette
        self.images: list[ImageScores] = []
        self.extremes = BestAndWorst(palette)

    def add(self, image: ImageResult) -> None:
        """Adds an image."""
        found = [scores(matrix, ()) for matrix in image.matrices]
        counts = [class_counts(matrix).numpy() for matrix in image.matrices]
        self.images.append(ImageScores(image.position, image.sample.name, found, counts))
        mean_iou = found[-1].mean_iou
        if mean_iou is not None:
            self.extremes.add(image.position, image.sample, image.final, mean_iou)

    def gather(self) -> None:
        """Brings the images of all processes together, in the order of the split."""
        self.images = sorted(process_group.gathered(self.images), key=lambda image: image.position)
        self.extremes.keep(process_group.gathered(self.extremes.rows))

    def counts(self, stage: int = -1) -> np.ndarray:
        """int64 N×3×C of the network (0) or of the final predictions (-1)."""
        return np.stack([image.counts[stage] for image in self.images])

    def with_intervals(self, result: EvaluationResult) -> EvaluationResult:
        """The result with the 95 % interval of each mean IoU and of the CRF's gain."""
        network = bootstrap.interval(self.counts(0))
        if result.crf is None:
            return result.with_intervals(network, None, None)
        gain = bootstrap.difference(self.counts(0), self.counts())
        return result.with_intervals(network, bootstrap.interval(self.counts()), gain)

    def write(
        self, folder: Path, result: EvaluationResult, title: str = "", formats: Sequence[str] = ()
    ) -> None:
        """Writes images.csv, contact_sheet.png, confusion_matrix.csv and .png, and trimap.png where the
        trimap was measured.

        Args:
            title: of what is drawn: data, model and run.
            formats: svg and pdf, in which plots are written beside PNG.
        """
        if process_group.rank() > 0:
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_images(self.images, folder / "images.csv")
        self._write_confusion(folder, result.final, title, formats)
        stages = {"network": result.network} | ({"with CRF": result.crf} if result.crf else {})
        curves: dict[str, Any] = {k: stage.extra.get("trimap_mean_iou") for k, stage in stages.items()}
        if all(curves.values()) and not result.final.several_labels:
            write_figure(trimap_figure(curves, title), folder / "trimap.png", 120, formats)
        if self.extremes.rows:
            sheet = contact_sheet(self.extremes.rows, self.class_names, self.palette, title)
            write_image(Image.fromarray(sheet), folder / "contact_sheet.png")

    def _write_confusion(self, folder: Path, final: Scores, title: str, formats: Sequence[str]) -> None:
        """Writes the confusion matrix; where a pixel has several labels the four counts of each class."""
        matrix = final.confusion_matrix
        header = ["label \\ prediction", *self.class_names]
        if final.several_labels:
            header = ["class", "true negatives", "false positives", "false negatives", "true positives"]
            matrix = [[*no, *yes] for no, yes in matrix]
        else:
            figure = confusion_figure(matrix, self.class_names, title)
            write_figure(figure, folder / "confusion_matrix.png", 120, formats)
        rows = ([name, *row] for name, row in zip(self.class_names, matrix, strict=True))
        write_rows([header, *rows], folder / "confusion_matrix.csv")


def write_images(images: list[ImageScores], path: Path) -> None:
    """Writes a row for each image: its name and the four metrics, with a CRF also the network's."""
    stages = {"": -1} | ({"_without_crf": 0} if images and len(images[0].scores) > 1 else {})
    header = [f"{key}{suffix}" for suffix in stages for key in METRIC_LABELS]
    rows = [
        [image.name, *(getattr(image.scores[i], key) for i in stages.values() for key in METRIC_LABELS)]
        for image in images
    ]
    write_rows([["name", *header], *rows], path)


def write_rows(rows: Iterable[list], path: Path) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))
