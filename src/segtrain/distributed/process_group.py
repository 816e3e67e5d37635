"""The only file that talks to other ranks. In a process of its own everything here does nothing."""

import atexit
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segtrain.distributed import launch
from segtrain.distributed.links import watch_links
from segtrain.errors import InputError, RankLost

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # of ranks for one another: one may be downloading a data set
LEAVING = timedelta(minutes=1)  # at the end, when all that matters is saved
_launched: dist.Store | None = None  # what this launch's processes have in common
_board: dist.Store | None = None  # the present group's part of it
_groups = itertools.count()  # of a sweep


@contextmanager
def join(device: torch.device) -> Iterator[None]:
    """While entered, this process is in the group that torchrun or srun describes, if there is one.

    Raises:
        InputError: two processes have one GPU.
        RankLost: another rank failed, which says itself why, or was killed.
    """
    global _launched, _board
    if not launch.several():
        yield
        return
    if _launched is None:
        _launched, _, _ = next(dist.rendezvous("env://", timeout=TIMEOUT))
    _board = dist.PrefixStore(f"segtrain/{next(_groups)}", _launched)
    if device.type == "cuda":
        check_gpus(gpu_identity(device), _board)
    dist.init_process_group(
        # What the host asks of the other hosts goes past the GPU: NCCL's answer would wait for its work.
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=dist.PrefixStore("group", _board),
        rank=launch.rank(),
        world_size=launch.world_size(),
        timeout=TIMEOUT,
    )
    watch_links()
    try:
        yield
        _wait_before_leaving(device)
    except Exception as error:
        if _is_a_lost_connection(error):
            raise RankLost("another rank went away") from None
        raise
    finally:
        dist.destroy_process_group()


def gpu_identity(device: torch.device) -> str:
    """What two processes have in common that see one GPU, under whatever numbers."""
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name} {properties.uuid}"


def check_gpus(own: str, board: dist.Store) -> None:
    """Refuses two processes on one GPU, on every rank: NCCL would do so in its own words.

    Args:
        own: this process's GPU, of `gpu_identity`.
        board: that all processes share.

    Raises:
        InputError: two have the same.
    """
    board.set(f"gpu/{launch.rank()}", own)
    seen: dict[str, int] = {}
    for rank in range(launch.world_size()):
        gpu = board.get(f"gpu/{rank}").decode()
        if gpu in seen:
            raise InputError(
                f"processes {seen[gpu]} and {rank} have the same GPU ({gpu.rpartition(' ')[0]})",
                do="launch as many a machine as it has GPUs, with device=cuda; more images: batch_size",
            )
        seen[gpu] = rank


def _wait_before_leaving(device: torch.device) -> None:
    """A launcher takes the first rank that leaves for a sign to end the others; a lost or frozen one is
    no failure of ours any more."""
    with suppress(RuntimeError):
        if device.type == "cuda":
            wait_for_all()
        else:
            dist.monitored_barrier(timeout=LEAVING)


def end_process(code: int) -> None:
    """Ends a process that was in a group, with its exit handlers but without tearing the interpreter down.

    DistributedDataParallel keeps gloo's group, and so its threads, to the end of the process, whatever
    is deleted (torch 2.14). A thread that drops the last tensor while the interpreter ends wants the GIL, is
    ended instead, and the C++ around it aborts: SIGABRT, "terminate called without an active exception",
    after a training that was done. A process that was in no group returns.
    """
    global _launched, _board
    if _launched is None:
        return
    atexit._run_exitfuncs()
    _launched = _board = None
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(code)


def _is_a_lost_connection(error: Exception) -> bool:
    """Gloo's errors have no class of their own, but they name its files."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "/gloo/" in str(error))


def first_to_say(what: str) -> bool:
    """Whether no other rank has said the same before."""
    if _board is None:
        return launch.local_rank() == 0  # before there is a group, all fail alike
    with suppress(RuntimeError):
        return _board.add(f"said/{what}", 1) == 1
    return True


def any_rank_so_far(flag: bool) -> bool:
    """Whether `flag` was set on any rank, as far as is known here: it waits for no other rank.

    Once it was true it stays true for this group.
    """
    if not dist.is_initialized() or _board is None:
        return flag
    with suppress(RuntimeError):  # torchrun's agent, which keeps the board, may be gone
        if flag:
            _board.set("flag", "1")
        return flag or _board.check(["flag"])
    return flag


def rank() -> int:
    """Of this process in the group; 0 without one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The processes in the group; 1 without one."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of every rank's `x`, in place."""
    if dist.is_initialized():
        dist.all_reduce(x)
    return x


def gathered(items: list[T]) -> list[T]:
    """Every rank's items, rank by rank."""
    if not dist.is_initialized():
        return items
    of_ranks: list[Any] = [None] * world_size()
    dist.all_gather_object(of_ranks, items)
    return [item for of_rank in of_ranks for item in of_rank]


def any_rank(flag: bool) -> bool:
    """Whether `flag` is set on at least one rank. Every rank waits for the others."""
    if not dist.is_initialized():
        return flag
    return bool(sum_over_ranks(torch.tensor(float(flag))).item())


def wait_for_all() -> None:
    """Returns when every rank has come here."""
    any_rank(False)


def wrap(model: nn.Module, *, some_outputs: bool = False) -> nn.Module:
    """The model whose backward averages gradients over ranks.

    Args:
        some_outputs: the loss may leave outputs out, and with them the parameters of their heads.
    """
    if not dist.is_initialized() or world_size() == 1:
        return model
    if synchronises_norms(model):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return DistributedDataParallel(model, find_unused_parameters=some_outputs)


def synchronises_norms(model: nn.Module) -> bool:
    """Whether BatchNorm takes its statistics over all ranks: torch has that for GPUs alone."""
    return world_size() > 1 and next(model.parameters()).is_cuda


def share_norms(model: nn.Module) -> None:
    """Gives every rank the first one's running statistics where each takes its own, so that all
    validate, average and save the same network."""
    if world_size() == 1 or synchronises_norms(model):
        return
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    buffers = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
    if buffers:
        flat = torch.cat(buffers)
        dist.broadcast(flat, 0)
        for buffer, values in zip(buffers, flat.split([len(b) for b in buffers]), strict=True):
            buffer.copy_(values)


@contextmanager
def first_of_each_machine() -> Iterator[None]:
    """Enters on one rank of each machine, and when they have left it on the others: one downloads."""
    if launch.local_rank() > 0:
        wait_for_all()
    yield
    if launch.local_rank() == 0:
        wait_for_all()
