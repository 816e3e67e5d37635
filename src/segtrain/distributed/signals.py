"""Stopping on request: the handler sets a flag, the loop saves at the next step boundary."""

import ctypes
import signal
import sys
from pathlib import Path


class Stopped(BaseException):
    """A command was asked to stop and left what it did in order; `exit_code` is 128 + the signal's number.

    Like KeyboardInterrupt no Exception: it ends a sweep too, and not one of its runs only.

    Args:
        how: where it stopped, and how to go on.
    """

    def __init__(self, number: int, how: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {how}")
        self.exit_code = 128 + (signal.SIGTERM if number == signal.SIGUSR1 else number)


class StopSignals:
    """While entered, SIGTERM, SIGUSR1 and Ctrl-C set `requested`; a second Ctrl-C stops at once."""

    def __init__(self):
        self.requested, self.number = False, 0

    def __enter__(self) -> "StopSignals":
        numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
        self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested, self.number = True, number

    def stopped(self, saved: Path, step: int) -> Stopped:
        # Another rank may have got the signal: then ours is taken for SIGTERM.
        number = self.number or signal.SIGTERM
        return Stopped(number, f"at step {step}, saved as {saved}; go on with resume={saved}")


def ask_when_parent_ends(number: int) -> None:
    """On Linux this process gets the signal when the one that started it is gone, killed perhaps."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG
