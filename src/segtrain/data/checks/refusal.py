"""What is wrong with the lists and folders of a data set: it ends a run, but `check` wants all of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from segtrain.errors import InputError

_refused: ContextVar[list[InputError] | None] = ContextVar("refused", default=None)


def refuse(faults: Sequence[str], *, do: str) -> None:
    """Raises InputError for the first of some faults; within `collecting` notes all of them instead."""
    refused = _refused.get()
    if refused is not None:
        refused += [InputError(fault, do=do) for fault in faults]
    elif faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise InputError(f"{faults[0]}{more}", do=do)


@contextmanager
def collecting() -> Iterator[list[InputError]]:
    """Yields the list of what is refused within it; the data set is made with what is left."""
    collected: list[InputError] = []
    token = _refused.set(collected)
    try:
        yield collected
    finally:
        _refused.reset(token)
