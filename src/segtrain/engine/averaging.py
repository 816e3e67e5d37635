"""The running average of a model's weights (`ema`)."""

import copy

import torch
from torch import nn


class RunningAverage:
    """An exponential average of a model's parameters and buffers, as a model of its own.

    It forgets its start: the decay grows as (1+n)/(10+n) with the averages taken. torch's AveragedModel
    computes the same, but sends its counter to a GPU at every update and reads it there, for which the host
    waits.

    Args:
        model: whose weights are averaged, on its device.
        decay: the largest.

    Attributes:
        module: the averaged model.

    Example:
        >>> average = RunningAverage(model, decay=0.999)
        >>> average.update(model, taken=step)
    """

    def __init__(self, model: nn.Module, decay: float):
        self.module, self.decay = copy.deepcopy(model), decay

    @torch.no_grad()
    def update(self, model: nn.Module, taken: int) -> None:
        """Takes the present weights into the average.

        Args:
            model: the one that is trained.
            taken: averages before this one; the first is a copy.
        """
        weight = 1 - min(self.decay, (1 + taken) / (10 + taken)) if taken else 1.0
        for average, value in zip(_tensors(self.module), _tensors(model), strict=True):
            if taken and average.is_floating_point():
                average.lerp_(value.to(average.dtype), weight)
            else:
                average.copy_(value)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [x.detach() for x in (*model.parameters(), *model.buffers())]
