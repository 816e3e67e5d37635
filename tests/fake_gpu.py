"""A GPU that computes nothing: its tensors have a device and a size alone. An operation of tensors of two
devices raises, and so does what would make the host wait: reading a number, a size that depends on values.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

CUDA = torch.device("cuda")


@contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """Inside, tensors can be made on the device that is given."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield CUDA


def moved(module: nn.Module) -> nn.Module:
    """A module whose parameters and buffers are on the fake GPU; called inside `fake_gpu`."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                values = torch.empty(parameter.shape, dtype=parameter.dtype, device=CUDA)
                part._parameters[name] = nn.Parameter(values, parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=CUDA)
    return module
