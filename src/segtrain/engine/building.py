"""A network that a checkpoint asks for takes no more memory than the checkpoint's own weights."""

from __future__ import annotations

import math
from typing import Any

from torch.overrides import TorchFunctionMode

from segtrain.errors import InputError

TIMES = 4  # initial values may be drawn elsewhere first, and copied
SMALL = 10_000_000  # numbers, of tables that no checkpoint holds
MAKERS = ("empty", "zeros", "ones", "full", "rand", "randn", "arange", "new_empty", "new_zeros", "new_full")


class BuildingFor(TorchFunctionMode):
    """While entered, only tensors are made that could be those of a checkpoint.

    A crafted config may ask for a million channels: it is refused before the memory is taken.

    Args:
        held: how many numbers the checkpoint holds.

    Example:
        >>> with BuildingFor(sum(tensor.numel() for tensor in saved.weights().values())):
        ...     model = instantiate(node, "model")
    """

    def __init__(self, held: int):
        super().__init__()
        self.held = held
        self.left = TIMES * self.held + SMALL

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Counts what a function makes by the size that it is given. Raises InputError."""
        if getattr(func, "__name__", "") in MAKERS:
            self.left -= _numbers([*args, (kwargs or {}).get("size")])
            if self.left < 0:
                raise InputError(
                    f"the checkpoint does not fit this model, which has more than its {self.held:,} numbers",
                    do="leave out model= and model.… keys that change the architecture",
                )
        return func(*args, **(kwargs or {}))


def _numbers(arguments: list[Any]) -> int:
    """How many numbers a tensor of these arguments has: a size, or its lengths one by one."""
    sizes = [one for one in arguments if isinstance(one, list | tuple)]
    lengths = sizes[0] if sizes else [one for one in arguments if isinstance(one, int)]
    return math.prod(lengths)
