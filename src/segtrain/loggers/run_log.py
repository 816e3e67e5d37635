"""Where a run tells what it does: terminal, train.log, metrics.jsonl and TensorBoard."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from segtrain.viz import drawing

METRIC_LABELS = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iou": "mean IoU",
    "frequency_weighted_iou": "f.w. IoU",
}
EXTRA_LABELS = {  # of metrics= and of data sets that have metrics of their own
    "boundary_iou": "Boundary IoU",
    "bf_score": "BF score",
    "calibration_error": "calibration error",
    "v_rand": "V_rand",
    "v_info": "V_info",
}
WIDTH = 120  # of train.log, and of the terminal where it is not one


class RunLog:
    """The records of one run below `folder`; on ranks other than 0 it stays silent."""

    def __init__(self, folder: Path, name: str, *, silent: bool = False):
        self.folder, self.silent = folder, silent
        self.terminal = Console(quiet=silent, soft_wrap=True, width=None if Console().is_terminal else WIDTH)
        self._writer, self._purge, self._told = None, None, set()
        if not silent:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(folder / f"{name}.log", "a")
            self._text = Console(file=self._file, width=WIDTH, soft_wrap=True)
            self._jsonl = open(folder / "metrics.jsonl", "a")

    @property
    def writer(self):
        """TensorBoard's writer, made when it is first used."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            threading.excepthook = _not_of_files(threading.excepthook)
            self._writer = SummaryWriter(self.folder, purge_step=self._purge)
        return self._writer

    def go_on_after(self, step: int) -> None:
        """Forgets what the folder's records tell of later steps, for these will be told again; what
        they tell of earlier ones is not told twice."""
        if self.silent:
            return
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        told = {line: json.loads(line) for line in lines if line.endswith("\n")}  # a kill may cut the last
        kept = [line for line, values in told.items() if values["step"] <= step]
        self._told = {(told[line]["step"], told[line]["split"]) for line in kept}
        if kept != lines:
            temporary = path.with_suffix(".tmp")
            temporary.write_text("".join(kept))
            os.replace(temporary, path)
            self._jsonl.close()
            self._jsonl = open(path, "a")
        if any(self.folder.glob("events.out.tfevents*")):
            self._purge = step + 1  # TensorBoard hides the rest of the files before

    def flush(self) -> None:
        """Hands what was logged to the operating system, where it outlives a kill."""
        if self._writer is not None:
            self._writer.flush()

    def say(self, what="", *, to_terminal: bool = True) -> None:
        """A line or a table on the terminal and in the log."""
        if self.silent:
            return
        if to_terminal:
            self.terminal.print(what, highlight=False, markup=False)
        self._text.print(what, highlight=False, markup=False)
        self._file.flush()

    def scalars(self, step: int, split: str, values: dict[str, float]) -> None:
        """A line of metrics.jsonl and curves `split/name` in TensorBoard."""
        if self.silent or (step, split) in self._told:
            return
        self._jsonl.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self._jsonl.flush()
        for name, value in values.items():
            if value is not None:
                self.writer.add_scalar(f"{split}/{name}", value, step)

    def evaluation(self, step: int, metrics: dict, class_names) -> None:
        """A validation: its metrics, every class's IoU and the confusion matrix."""
        if self.silent or (step, "val") in self._told:
            return
        self.scalars(
            step, "val", {key: metrics[key] for key in (*METRIC_LABELS, *EXTRA_LABELS) if key in metrics}
        )
        for name, values in metrics["per_class"].items():
            if values["iou"] is not None:
                self.writer.add_scalar(f"iou/{name}", values["iou"], step)
        if "without_crf" in metrics:
            self.writer.add_scalar("val/mean_iou_without_crf", metrics["without_crf"]["mean_iou"], step)
        figure = drawing.confusion_figure(metrics["confusion_matrix"], class_names)
        self.writer.add_figure("confusion_matrix", figure, step, close=False)

    def image(self, step: int, tag: str, image: np.ndarray) -> None:
        """An image (uint8 H×W×3) in TensorBoard."""
        if not self.silent and (step, "val") not in self._told:
            self.writer.add_image(tag, image, step, dataformats="HWC")

    def hyperparameters(self, values: dict, results: dict[str, float]) -> None:
        """The run's row in TensorBoard's HPARAMS tab, by which a sweep can be sorted."""
        if self.silent:
            return
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(values, results):
            self.writer.file_writer.add_summary(summary)
        for name, value in results.items():
            self.writer.add_scalar(name, value)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, _type, error: BaseException | None, _trace) -> None:
        with ExitStack() as stack:  # whatever fails, the others are closed
            if not self.silent:
                stack.callback(self._file.close)
                stack.callback(self._jsonl.close)
            if self._writer is not None:
                stack.callback(self._writer.close)
            if error is not None:
                self.say(f"{type(error).__name__}: {error}", to_terminal=False)

    @contextmanager
    def progress(self, what: str, total: int, *, done: int = 0):
        """Yields `update(advance, text)`; without a terminal, a line every ten seconds or so."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=self.terminal,
            transient=True,
            disable=self.silent or not self.terminal.is_terminal,
        )
        task = bar.add_task(what, total=total, completed=done, text="")
        last, start = time.monotonic(), time.monotonic()
        first = done

        def update(advance: int, text: str = "") -> None:
            nonlocal last, done
            done += advance
            bar.update(task, advance=advance, text=text or bar.tasks[task].fields["text"])
            if bar.disable and time.monotonic() - last >= 10:
                last = time.monotonic()
                left = (last - start) / max(done - first, 1) * (total - done)
                self.terminal.print(f"{what} {done}/{total}  {text}  {left:.0f} s left", highlight=False)

        with bar:
            yield update


def _not_of_files(hook: Callable) -> Callable:
    """What TensorBoard's thread fails with it hands to the next call too: it is not to be told twice."""

    def tell(failed) -> None:
        if not issubclass(failed.exc_type, OSError):
            hook(failed)

    return tell


def table(title: str, *columns: str) -> Table:
    """An empty table; the first column is text, the others are numbers."""
    result = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        result.add_column(column, justify="left" if i == 0 else "right")
    return result


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def evaluation_table(metrics: dict) -> Table:
    """Per-class IoU and accuracy and the other metrics, before and after the CRF side by side."""
    plain = metrics.get("without_crf")
    columns = ["", "IoU %", "accuracy %"] if plain is None else ["", "IoU %", "with CRF", "gain"]
    result = table(f"{metrics['images']} images, {metrics['seconds']:.1f} s", *columns)

    def cells(after: dict, before: dict | None, key: str) -> list[str]:
        return [percent(after[key])] if before is None else _beside(before[key], after[key])

    for name, values in metrics["per_class"].items():
        if plain is None:
            result.add_row(name, percent(values["iou"]), percent(values["accuracy"]))
        else:
            result.add_row(name, *cells(values, plain["per_class"][name], "iou"))
    result.add_section()
    for key, label in (METRIC_LABELS | EXTRA_LABELS).items():
        if key in metrics:
            result.add_row(label, *cells(metrics, plain, key))
        if key == "mean_iou" and metrics.get("mean_iou_interval"):
            result.add_row("  95 % interval", *_intervals(metrics))
    for width in metrics.get("trimap_mean_iou", ()):
        bands = [f and f["trimap_mean_iou"] for f in (metrics, plain)]
        result.add_row(f"mean IoU within {width} px of a border", *cells(*bands, width))
    return result


def _intervals(metrics: dict) -> list[str]:
    """Of the mean IoU, with a CRF also of its gain."""
    if "without_crf" not in metrics:
        return [interval(metrics["mean_iou_interval"])]
    both = [interval(f["mean_iou_interval"]) for f in (metrics["without_crf"], metrics)]
    return [*both, interval(metrics["crf_gain"]["interval"], sign="+")]


def interval(values: tuple[float, float] | None, sign: str = "") -> str:
    """`[60.3, 63.8]` of fractions."""
    return "" if values is None else "[" + ", ".join(f"{100 * v:{sign}.1f}" for v in values) + "]"


def _beside(before: float | None, after: float | None) -> list[str]:
    gain = "" if before is None or after is None else f"{100 * (after - before):+.1f}"
    return [percent(before), percent(after), gain]
