"""What is wrong with the lists and folders of a data set: it ends a run, but `check` wants all of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from segtrain.errors import InputError


class Refusal(NamedTuple):
    """kind: one of the check's KINDS. error: what would end a run, or is worth a remark."""

    kind: str
    error: InputError


_refused: ContextVar[list[Refusal] | None] = ContextVar("refused", default=None)


def refuse(faults: Sequence[str], *, do: str, kind: str = "pairs") -> None:
    """Raises InputError for the first of some faults; within `collecting` notes all of them instead."""
    refused = _refused.get()
    if refused is not None:
        hint = do if kind == "pairs" else ""  # of annotations the check has said all already
        refused += [Refusal(kind, InputError(fault, do=hint)) for fault in faults]
    elif faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise InputError(f"{faults[0]}{more}", do=do)


def remark(faults: Sequence[str], *, kind: str) -> None:
    """Within `collecting` notes faults that keep nobody from training; else does nothing."""
    refused = _refused.get()
    if refused is not None:
        refused += [Refusal(kind, InputError(fault)) for fault in faults]


@contextmanager
def collecting() -> Iterator[list[Refusal]]:
    """Yields the list of what is refused within it; the data set is made with what is left."""
    collected: list[Refusal] = []
    token = _refused.set(collected)
    try:
        yield collected
    finally:
        _refused.reset(token)
