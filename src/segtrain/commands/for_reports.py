"""What a run's last validation, and every evaluation, leaves for reports, in small files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segtrain.commands.cost import cost_of
from segtrain.contracts import Dataset, Split
from segtrain.distributed import process_group
from segtrain.engine.device import Compute
from segtrain.errors import SaveError
from segtrain.evaluation.evaluate import ImageResult
from segtrain.evaluation.predictor import Predict
from segtrain.evaluation.result import STORED
from segtrain.input_spec import InputSpec
from segtrain.loggers.run_log import RunLog
from segtrain.metrics.regions import class_counts
from segtrain.reports.kept import KeptImages
from segtrain.viz.drawing import write_figure
from segtrain.viz.precision_recall import PrecisionRecall, precision_recall_figure

CURVES = "precision_recall.png"
DPI = 90


class ForReports:
    """Collects images, counts and curves of precision and recall.

    Args:
        images: of the split.
        data: the data set.
        plots: whether the curves of precision and recall are drawn.

    Attributes:
        positions: of the images whose confidence is needed.
    """

    def __init__(self, images: int, data: Dataset, *, plots: object = True):
        self.data, self.plots = data, plots
        self.kept = KeptImages(images, data.class_names, data.palette)
        self.curves = PrecisionRecall(len(data.class_names))
        self.positions = self.kept.positions

    def add(self, image: ImageResult) -> None:
        """Adds an evaluated image."""
        stages = [image.network] if image.crf is None else [image.network, image.crf]
        counts = [class_counts(matrix).numpy() for matrix in image.matrices]
        self.kept.add(image.position, image.sample, stages, counts, image.confidence)
        if self.plots and image.confidence is not None:
            self.curves.add(image.sample.mask, image.final, image.confidence)

    def write(self, log: RunLog) -> None:
        """Brings the images of all processes together, and writes `images.zip` and `precision_recall.png`.

        What cannot be written is said in a line: it is no reason to end a training.
        """
        self.kept.collected = process_group.gathered(self.kept.collected)
        self.curves.merge(process_group.gathered([self.curves]))
        if log.silent:
            return
        self._try(log, lambda: self.kept.write(log.folder))
        if self.curves.images:
            figure = precision_recall_figure(self.curves, self.data.class_names, log.title)
            self._try(log, lambda: write_figure(figure, log.folder / CURVES, DPI, log.formats))

    @staticmethod
    def _try(log: RunLog, write: Callable[[], None]) -> None:
        try:
            write()
        except SaveError as error:
            log.terminal.print(f"not written: {error}", highlight=False, markup=False)


def measured_cost(
    predict: Predict, split: Split, spec: InputSpec, compute: Compute, *, compiled: bool
) -> dict[str, Any] | None:
    """`cost_of` an image of the split; None on all but the first process, and where no network predicted."""
    if process_group.rank() > 0 or compute.precision == STORED:
        return None
    return cost_of(predict, split[0].of(spec), compute, compiled=compiled)
