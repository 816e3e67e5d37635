"""What it costs to label an image, and what a run took: for the comparison of runs."""

from __future__ import annotations

import platform
import re
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from segtrain.contracts import Sample
from segtrain.engine.device import Compute
from segtrain.engine.memory import forget_peak, peak_memory
from segtrain.evaluation.predictor import Predict

LEAST, MOST, SECONDS = 3, 15, 0.3  # timed predictions of an image: as many as this time allows


def start_peak(compute: Compute) -> None:
    """Lets `peak_of_run` count from now on, where the system can: a sweep runs many in one process."""
    if compute.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(compute.device)
        return
    with suppress(OSError):
        forget_peak()


def peak_of_run(compute: Compute) -> int | None:
    """The largest memory of the run so far in bytes: of tensors on a GPU, else of the process; None where
    the system does not say."""
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(compute.device)
    with suppress(OSError):
        return peak_memory()
    return None


def cost_of(predict: Predict, sample: Sample, compute: Compute, *, compiled: bool = False) -> dict[str, Any]:
    """What `metrics.json` holds under `cost`.

    Args:
        predict: a model in eval mode, or an ensemble.
        sample: whose size is the evaluation's.
        compute: where it is computed.
        compiled: whether the model is; it is measured as it is without, for a new size would be compiled.

    Returns:
        `multiply_adds` of one image (convolutions, matrix products, attention), `size` (its height and
        width), `latency` (seconds of one image alone, to labels on the device: the median), `peak_memory`
        (bytes), `hardware` and `threads`.
    """
    with torch.compiler.set_stance("force_eager") if compiled else nullcontext():

        def label() -> None:
            predict.labels([sample]).flatten()[-1].item()  # waits for the device

        with MultiplyAdds() as counter:
            label()
        latency = median_seconds(label)
    return {
        "multiply_adds": counter.total,
        "size": list(sample.image.shape[:2]),
        "latency": latency,
        "peak_memory": peak_of_run(compute),
        "hardware": hardware(compute),
        "threads": torch.get_num_threads(),
    }


class MultiplyAdds(TorchFunctionMode):
    """Counts the multiply-adds of convolutions, matrix products and attention that are computed inside.

    It agrees with torch's own counter, whose import takes longer than a small network's evaluation.

    Example:
        >>> with MultiplyAdds() as counter:
        ...     torch.ones(2, 3) @ torch.ones(3, 4)
        >>> counter.total
        24
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").strip("_")
        if name.startswith("conv_transpose"):
            self.total += args[0].numel() * args[1].shape[1:].numel()
        elif re.fullmatch(r"conv[123]d", name):
            self.total += out.numel() * args[1].shape[1:].numel()
        elif name in ("linear", "matmul", "mm", "bmm"):
            self.total += out.numel() * args[0].shape[-1]
        elif name in ("addmm", "baddbmm"):
            self.total += out.numel() * args[1].shape[-1]
        elif name == "scaled_dot_product_attention":
            query, key, value = args[:3]
            self.total += query.numel() * key.shape[-2] + out.numel() * value.shape[-2]
        return out


def median_seconds(call: Callable[[], object]) -> float:
    """The median time of a call that was made once before."""
    times: list[float] = []
    while len(times) < LEAST or (len(times) < MOST and sum(times) < SECONDS):
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def hardware(compute: Compute) -> str:
    """The name of the GPU or the processor."""
    if compute.device.type == "cuda":
        return torch.cuda.get_device_name(compute.device)
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{compute.device.type}, {name}" if compute.device.type != "cpu" else name
