"""TensorBoard: curves, images and the HPARAMS tab."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from segtrain.contracts import RunInfo

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes TensorBoard's event files into the run's folder: `tensorboard --logdir outputs`."""

    def __init__(self) -> None:
        self._run: RunInfo | None = None
        self._writer: SummaryWriter | None = None

    def start(self, run: RunInfo) -> None:
        """Notes the run; the file is made when the first value is logged."""
        self._run = run

    @property
    def writer(self) -> SummaryWriter:
        """The writer of the event file. TensorBoard hides older files' values of later steps."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # takes half a second

            assert self._run is not None
            resumed = any(self._run.folder.glob("events.out.tfevents*"))
            threading.excepthook = _without_file_errors(threading.excepthook)
            self._writer = SummaryWriter(
                str(self._run.folder), purge_step=self._run.step + 1 if resumed else None
            )
        return self._writer

    def log_scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Adds a point to each curve `split/name`."""
        for name, value in values.items():
            if value is not None:
                self.writer.add_scalar(f"{split}/{name}", value, step)

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Adds an image, uint8 H×W×3."""
        self.writer.add_image(name, image, step, dataformats="HWC")

    def log_hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Adds the run's row to the HPARAMS tab, by which a sweep can be sorted."""
        from torch.utils.tensorboard.summary import hparams

        metrics = {f"hparam/{name}": value for name, value in results.items()}
        file_writer: Any = self.writer.file_writer
        for summary in hparams(dict(values), metrics):
            file_writer.add_summary(summary)
        for name, value in metrics.items():
            self.writer.add_scalar(name, value)

    def flush(self) -> None:
        """Writes what is buffered."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()


def _without_file_errors(hook: Callable) -> Callable:
    """TensorBoard's thread hands what it fails with to the next call too: it must not be shown twice."""

    def show(failed: Any) -> None:
        if not issubclass(failed.exc_type, OSError):
            hook(failed)

    return show
