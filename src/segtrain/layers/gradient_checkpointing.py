"""Gradient checkpointing: activations computed again in the backward pass instead of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils import checkpoint


def checkpointed(module: nn.Module, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
    """`module(*inputs)`, of which the backward pass finds nothing but `inputs` in memory.

    Gradients are those of the plain call: dropout draws the same masks again, and the running
    statistics of BatchNorm are updated once, by the first of the two computations.
    """
    if torch.compiler.is_compiling():
        return checkpoint.checkpoint(module, *inputs, use_reentrant=False)
    return checkpoint.checkpoint(
        module, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _buffers_kept(module))
    )


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    """What `module` writes into its buffers meanwhile goes into copies."""
    buffers = [(m, name, b) for m in module.modules() for name, b in m.named_buffers(recurse=False)]
    for owner, name, buffer in buffers:
        setattr(owner, name, buffer.clone())
    try:
        yield
    finally:
        for owner, name, buffer in buffers:
            setattr(owner, name, buffer)
