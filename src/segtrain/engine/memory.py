"""How much memory there is, and how much was in use at most: for `batch_size=auto` on the CPU."""

from __future__ import annotations

import re
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
FORGET_PEAK = "5"  # proc(5): resets VmHWM
LIMITS = (  # of a container, versions 2 and 1: its limit and what is used of it
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping; None where the system does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text(encoding="utf-8"))
    except OSError:
        return None
    if found is None:
        return None
    available = int(found[1]) * 1024
    for limit, used in LIMITS:
        try:
            available = min(
                available,
                max(0, int(limit.read_text(encoding="utf-8")) - int(used.read_text(encoding="utf-8"))),
            )
        except (OSError, ValueError):  # no such container, or "max"
            continue
    return available


def forget_peak() -> None:
    """Lets `peak_memory` count anew. Raises OSError where the system has no such thing."""
    CLEAR.write_text(FORGET_PEAK, encoding="utf-8")


def peak_memory() -> int:
    """Bytes that this process had in use at most since `forget_peak`. Raises OSError."""
    found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="utf-8"))
    if found is None:
        raise OSError("no VmHWM")
    return int(found[1]) * 1024
