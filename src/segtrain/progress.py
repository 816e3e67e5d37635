"""The one progress bar, on a terminal and in a notebook; elsewhere a line every ten seconds."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS = 10  # between lines where there is no bar

Advance = Callable[..., None]  # advance(count, text="")


class Terminal(Console):
    """Where a command shows what it does. Square brackets are what they are, no markup.

    In a notebook lines are text, as `print` has them: rich's own way there takes the place of every file,
    train.log's too, and a cell knows no cursor.

    When whoever read the output goes away (`segtrain ... | head`), the work goes on without showing it.
    """

    def __init__(self, **options: Any):
        if Console().is_jupyter:
            options |= {"force_jupyter": False, "force_terminal": False}
        super().__init__(markup=False, **options)

    def on_broken_pipe(self) -> None:
        """Shows nothing more, where rich would leave the process."""
        self.quiet = True
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


@contextmanager
def progress_bar(
    what: str, total: int | None, *, console: Console, done: int = 0, quiet: bool = False
) -> Iterator[Advance]:
    """Yields `advance(count, text="")`, which adds `count` to what is done and shows `text` beside it.

    Args:
        what: is being done: `training`.
        total: how many there are; None where nobody knows.
        done: how many were done before.
        quiet: shows nothing.
    """
    notebook = Console()  # whose bars need ipywidgets, and are warnings without
    shown = notebook if notebook.is_jupyter and find_spec("ipywidgets") else console
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
        console=shown,
        transient=True,
        disable=quiet or not (shown.is_terminal or shown.is_jupyter),
    )
    task = bar.add_task(what, total=total, completed=done, text="")
    start = last = time.monotonic()
    first = done

    def advance(count: int = 1, text: str = "") -> None:
        nonlocal last, done
        done += count
        bar.update(task, advance=count, text=text or bar.tasks[task].fields["text"])
        if bar.disable and not quiet and time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            rest = ""
            if total is not None:
                rest = (
                    f"/{total}  {text}  {(last - start) / max(done - first, 1) * (total - done):.0f} s left"
                )
            console.print(f"{what} {done}{rest}", highlight=False)

    with bar:
        yield advance
