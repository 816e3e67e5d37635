"""The images in a run's folder: `results.png`, the curves, and `val_batch.jpg`, some predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image

from segtrain.contracts import Dataset
from segtrain.distributed import process_group
from segtrain.errors import DivergedError, SaveError
from segtrain.evaluation.evaluate import ImageResult
from segtrain.files import write_atomically
from segtrain.loggers.jsonl import METRICS_FILE, read_lines
from segtrain.loggers.run_log import RunLog
from segtrain.viz.curves import results_figure
from segtrain.viz.drawing import figure_files
from segtrain.viz.val_batch import SheetImage, draw_sheet, sheet_image

RESULTS, BATCH = "results.png", "val_batch.jpg"
IMAGES = 8  # of the sheet
SHARE = 0.005  # of a run's time that drawing may take, the last validation's aside
DPI = 110


class Drawings:
    """Draws a run's curves and predictions after its validations.

    Both are drawn anew from metrics.jsonl and from the validation, so that a resumed run's are whole. The
    last validation is always drawn, one before it where drawing takes little of the run's time. A disk
    that is full is no reason to end a training: a line says so, and checkpoints have their own error.

    Args:
        data: the data set.
        log: of the run; where it is silent, on ranks other than 0, nothing is drawn.
        last_step: of the run.
        wanted: else nothing is drawn.
    """

    def __init__(self, data: Dataset, log: RunLog, last_step: int, *, wanted: object = True):
        self.data, self.log, self.last_step = data, log, last_step
        self.silent = log.silent or not wanted
        own = range(process_group.rank(), len(data.val), process_group.world_size())
        self.positions = (
            {own[i * (len(own) - 1) // max(IMAGES - 1, 1)] for i in range(IMAGES)} if own else set()
        )
        self.images: dict[int, SheetImage] = {}
        self.start, self.spent, self.cost = time.perf_counter(), 0.0, 0.0

    def add(self, image: ImageResult) -> None:
        """Takes an evaluated image; eight that are spread evenly over the split are shown."""
        if image.position in self.positions and not self.silent:
            with self._timed():
                drawn = sheet_image(image.sample, image.network, image.crf, self.data.palette)
                self.images[image.position] = drawn

    def after_validation(self, step: int) -> None:
        """Draws both where it is the last validation or costs little."""
        affordable = self.spent + self.cost <= SHARE * (time.perf_counter() - self.start)
        if self.silent or not (step == self.last_step or affordable):
            return
        before = self.spent
        with self._timed():
            self.curves()
            if self.images:
                images = [self.images[i] for i in sorted(self.images)]
                title = f"{self.log.title}, step {step}"
                image = Image.fromarray(draw_sheet(images, title, self.data.class_names, self.data.palette))
                # Without subsampling: a mask's colours would bleed into one another.
                self._write(BATCH, lambda file: image.save(file, "JPEG", quality=90, subsampling=0))
        self.cost = self.spent - before

    def curves(self) -> None:
        """Draws results.png, where metrics.jsonl has anything to draw."""
        records = [values for _, values in read_lines(self.log.folder / METRICS_FILE)]
        if records and not self.silent:
            figure = results_figure(records, self.log.title)
            for name, write in figure_files(figure, RESULTS, DPI, self.log.formats):
                self._write(name, write)

    @contextmanager
    def also_of_a_divergence(self) -> Iterator[None]:
        """The curves are drawn too where the training inside diverges: they show how."""
        try:
            yield
        except DivergedError:
            self.curves()
            raise

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        try:
            write_atomically(self.log.folder / name, write)
        except SaveError as error:
            # On the terminal alone: the log is on the same disk.
            self.log.terminal.print(f"not drawn: {error}", highlight=False, markup=False)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self.spent += time.perf_counter() - before
