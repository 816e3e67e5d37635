"""Copies between the host and a GPU for which neither waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device.

    To a GPU it is copied from pinned memory on a stream of its own, beside the work that is queued already:
    the images of a step come while the backward pass of the step before it still runs. What is queued from
    here on waits for the copy; the host does not.

    Args:
        x: on the host; it is pinned first where it is not yet.
        device: where it is wanted.

    Example:
        >>> images = to_device(images, torch.device("cuda:0"))
    """
    if device.type != "cuda":
        return x.to(device, non_blocking=True)
    pinned = x if x.is_pinned() else x.pin_memory()
    copies, work = _copies(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        there = pinned.to(device, non_blocking=True)
    work.wait_stream(copies)
    there.record_stream(work)  # or its memory would be used again while the work still reads it
    return there


def to_host(x: Tensor) -> Callable[[], Tensor]:
    """Starts the copy of a tensor to the host.

    Returns:
        What gives the tensor there: it waits for it, and for nothing that was queued later.

    Example:
        >>> labels = to_host(logits.argmax(1))
        >>> next_logits = model(next_images)["out"]  # queued before the labels are there
        >>> labels().numpy()
    """
    if x.device.type != "cuda":
        return x.cpu
    copy = x.to("cpu", non_blocking=True)  # into pinned memory
    sent = torch.cuda.current_stream(x.device).record_event()

    def there() -> Tensor:
        sent.synchronize()
        return copy

    return there


@lru_cache(maxsize=16)
def _copies(device: torch.device) -> torch.cuda.Stream:
    """The stream of the copies to a GPU."""
    return torch.cuda.Stream(device)
