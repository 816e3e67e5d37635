"""What a run shows and records: the terminal, train.log, and the loggers of `logger=`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from segtrain.contracts import Logger, RunInfo
from segtrain.loggers.jsonl import METRICS_FILE, read_lines
from segtrain.progress import Advance, Terminal, progress_bar

WIDTH = 120  # of train.log, and of the terminal where it is not one


class RunLog:
    """The records of one run below `folder`; on ranks other than 0 it is silent.

    Args:
        folder: of the run; it is made.
        command: train or eval; the log is `COMMAND.log`.
        loggers: get what is logged, each value once: what a resumed run has logged before is skipped.
        silent: shows and writes nothing.
        title: of what is drawn of the run: its data, its model and its name; empty: the name alone.
        formats: svg and pdf, in which its plots are written beside PNG.
    """

    def __init__(
        self,
        folder: Path,
        command: str,
        *,
        loggers: Mapping[str, Logger] | None = None,
        silent: bool = False,
        title: str = "",
        formats: Sequence[str] = (),
    ):
        self.title, self.formats = title or RunInfo(folder, command, {}).name, tuple(formats)
        self.folder, self.command, self.silent = folder, command, silent
        self.loggers = [] if silent else list((loggers or {}).values())
        self.terminal = Terminal(
            quiet=silent, soft_wrap=True, width=None if Terminal().is_terminal else WIDTH
        )
        self._logged: set[tuple[int, str]] = set()
        self._started: list[Logger] = []
        if not silent:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(folder / f"{command}.log", "a", encoding="utf-8")
            self._text = Terminal(file=self._file, width=WIDTH, soft_wrap=True)

    def start(self, config: dict[str, Any], step: int = 0) -> None:
        """Starts the loggers.

        Args:
            config: resolved.
            step: that the run was resumed at; what was logged of later steps will be logged again.
        """
        if self.silent:
            return
        lines = [values for _, values in read_lines(self.folder / METRICS_FILE)]
        self._logged = {(v["step"], v["split"]) for v in lines if v["step"] <= step}
        for logger in self.loggers:
            self._started.append(logger)
            logger.start(RunInfo(self.folder, self.command, config, step))

    def say(self, what: RenderableType = "", *, to_terminal: bool = True) -> None:
        """Prints a line or a table on the terminal and into the log."""
        if self.silent:
            return
        if to_terminal:
            self.terminal.print(what, highlight=False, markup=False)
        self._text.print(what, highlight=False, markup=False)
        self._file.flush()

    def scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Logs values of a step by name."""
        if not self.has_logged(step, split):
            for logger in self.loggers:
                logger.log_scalars(step, split, values)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs an image of a validation, uint8 H×W×3."""
        if not self.has_logged(step, "val"):
            for logger in self.loggers:
                logger.log_image(step, name, image)

    def hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Logs the run's row in a table of runs."""
        for logger in self.loggers:
            logger.log_hyperparameters(values, results)

    def flush(self) -> None:
        """Hands what was logged to the operating system, where it outlives a kill."""
        for logger in self.loggers:
            logger.flush()

    @contextmanager
    def progress(self, what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """Yields `advance(count, text)` of a progress bar."""
        with progress_bar(what, total, console=self.terminal, done=done, quiet=self.silent) as advance:
            yield advance

    def has_logged(self, step: int, split: str) -> bool:
        """Whether the run that is resumed has logged this step before."""
        return (step, split) in self._logged

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if self.silent:
            return
        with ExitStack() as stack:  # whatever fails, the others are closed
            stack.callback(self._file.close)
            for logger in self._started:
                stack.callback(logger.close)
            if error is not None:
                self.say(f"{type(error).__name__}: {error}", to_terminal=False)
