"""Stopping on request: the handler sets a flag, the loop saves at the next step boundary."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from segtrain.files import as_argument


class Stopped(BaseException):
    """A command was asked to stop and left what it did in order; `exit_code` is 128 + the signal's number.

    Like KeyboardInterrupt no Exception: it ends a sweep too, and not one of its runs only.

    Args:
        how: where it stopped, and how to go on.
    """

    def __init__(self, number: int, how: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {how}")
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


# Windows has no SIGUSR1 and no SIGHUP.
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT") if hasattr(signal, name)
)


class StopSignals:
    """While entered, SIGTERM, SIGUSR1, SIGHUP and Ctrl-C set `requested`; a second Ctrl-C stops at once.

    In another thread than the main one no signal arrives: there it does nothing.

    Attributes:
        requested: whether a signal came; `number`: which one.
    """

    def __init__(self) -> None:
        self.requested, self.number = False, 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._request) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, _frame: object) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested, self.number = True, number

    def stopped(self, saved: Path, step: int) -> Stopped:
        # Another rank may have got the signal: then ours is taken for SIGTERM.
        number = self.number or signal.SIGTERM
        return Stopped(
            number, f"at step {step}, saved as {saved}; go on with: segtrain {as_argument('resume', saved)}"
        )


def ask_when_parent_ends(number: int) -> None:
    """On Linux this process gets the signal when the one that started it is gone, killed perhaps."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG
