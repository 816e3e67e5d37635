"""`deterministic=`: what another run of the same command has in common with this one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from segtrain.errors import InputError
from segtrain.wording import how_many


def make_deterministic(wanted: bool) -> None:
    """Sets torch's deterministic algorithms, before CUDA starts: cuBLAS reads its variable only then."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if wanted != torch.are_deterministic_algorithms_enabled():  # the call costs seconds: it imports inductor
        torch.use_deterministic_algorithms(wanted)


@contextmanager
def refusing_by_name(config: dict[str, Any]) -> Iterator[None]:
    """Turns torch's refusal of an operation into an InputError that names the setting."""
    try:
        yield
    except RuntimeError as error:
        refused = re.match(r"(\S+) does not have a deterministic implementation", str(error))
        if not refused:
            raise
        raise InputError(
            f"deterministic=true: torch's {refused[1]} has no fixed order on device={config['device']}",
            do="use device=cpu, or deterministic=false",
        ) from error


def repeatability(device: torch.device, deterministic: bool) -> str:
    """What another run of the same command will have in common with this one."""
    threads = how_many(torch.get_num_threads(), "thread")
    if deterministic:
        return f"deterministic: the same weights again on such a machine with {threads}"
    if device.type == "cpu":
        return f"repeatable on such a machine with {threads}; another number adds up in another order"
    return (
        "not deterministic: cuDNN's choice of convolutions, and sums whose order varies (the backward pass of"
        " upsampling and of pooling, the loss's gradient); deterministic=true refuses those"
    )
