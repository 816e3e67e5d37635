"""The only file that knows of ranks. Without torchrun everything here does nothing."""

import os
import warnings
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def group(device: torch.device):
    """While entered, this process is in the group that torchrun describes, if there is one."""
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Which of this machine's GPUs is ours."""
    return int(os.environ.get("LOCAL_RANK", 0))


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of every rank's `x`, in place."""
    if dist.is_initialized():
        dist.all_reduce(x)
    return x


def gathered(items: list) -> list:
    """Every rank's items, rank by rank."""
    if not dist.is_initialized():
        return items
    of_ranks = [None] * world_size()
    dist.all_gather_object(of_ranks, items)
    return [item for of_rank in of_ranks for item in of_rank]


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is set on at least one rank."""
    if not dist.is_initialized():
        return flag
    return bool(sum_over_ranks(torch.tensor(float(flag), device=device)).item())


def wrap(model: nn.Module, *, some_outputs: bool = False) -> nn.Module:
    """The model whose backward averages gradients over ranks.

    Args:
        some_outputs: the loss may leave outputs out, and with them the parameters of their heads.
    """
    if not dist.is_initialized() or world_size() == 1:
        return model
    if torch.cuda.is_available():
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    # Where every parameter has its gradient after all, torch would warn of the search for others.
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
    return DistributedDataParallel(model, find_unused_parameters=some_outputs)
