"""`num_workers=auto`: how many processes a loader gets."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from segtrain.distributed import launch

OF_A_GPU = 12  # processes at most; more seldom help
OF_A_CPU = 4  # there the training has the cores
CORES_A_WORKER = 4  # of those of a CPU that trains
PREFETCHED = 2  # batches that each process holds ready
SHARE = 0.5  # of /dev/shm
SHM = Path("/dev/shm")
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: "200000 100000" are two cores
OLD_QUOTA = Path("/sys/fs/cgroup/cpu")  # of version 1 of the same


def worker_count(given: int | str, device: torch.device, batches: int, batch_bytes: int = 0) -> int:
    """The number of a loader's processes.

    Args:
        given: that number, or auto: on a GPU a core for each beside the training's own, up to 12; on a CPU,
            whose cores the training needs, one for each four, up to 4; none on a single core. Processes of
            one machine share its cores.
        device: that trains.
        batches: of an epoch; there are never more processes.
        batch_bytes: of a batch: as many processes as half of /dev/shm holds two for.

    Returns:
        0 where the training itself is to read.

    Example:
        >>> worker_count("auto", torch.device("cpu"), batches=100)
        1
    """
    if given != "auto":
        return int(given)
    cores = available_cores() / max(1, launch.local_world_size())
    if cores < 2:
        return 0
    if device.type == "cuda":
        count = max(1, min(int(cores) - 1, OF_A_GPU))
    else:
        count = max(1, min(int(cores) // CORES_A_WORKER, OF_A_CPU))
    if batch_bytes and SHM.is_dir():
        status = os.statvfs(SHM)
        count = min(count, int(SHARE * status.f_bavail * status.f_frsize // (PREFETCHED * batch_bytes)))
    return min(count, batches)


def available_cores() -> float:
    """The cores that this process may use: its affinity, or the share of its container."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = "max", "1"
    try:
        if QUOTA.is_file():
            quota, period = QUOTA.read_text(encoding="utf-8").split()
        elif OLD_QUOTA.is_dir():
            quota, period = (
                (OLD_QUOTA / f"cpu.cfs_{name}_us").read_text(encoding="utf-8") for name in ("quota", "period")
            )
        share = int(quota) / int(period)
    except (OSError, ValueError):  # there is no limit, or none that is known
        return own
    return min(own, share) if share > 0 else own
