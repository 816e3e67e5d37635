"""A sum of losses, `loss=[cross_entropy,dice]`: each term has a weight, and a sum and count of its own."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from segtrain.contracts import BalancesClasses, ChecksClasses, FollowsProgress, Loss
from segtrain.losses.outputs import check_outputs
from segtrain.tasks import Task


class CompositeLoss(nn.Module):
    """The weighted sum of one or more losses.

    A step divides each term's sum over all batches and ranks by that term's count over all of them,
    so that a term over pixels and one over images can be added.

    Args:
        terms: name -> loss, as `loss.NAME`.
        weights: name -> factor; 1 where a name is missing.
        task: what the logits mean; every term sees them as those of classes.

    Example:
        >>> loss = CompositeLoss({"cross_entropy": CrossEntropy(weights={"out": 1.0})})
        >>> (loss(outputs, masks) / loss.count(masks)).sum()
    """

    def __init__(
        self,
        terms: Mapping[str, Loss],
        weights: Mapping[str, float] | None = None,
        task: Task = Task(),  # noqa: B008 (a tuple, which nobody can change)
    ):
        super().__init__()
        self.task = task
        self.names = tuple(terms)
        self.terms = nn.ModuleDict({name: _as_module(term) for name, term in terms.items()})
        self.factors = tuple((weights or {}).get(name, 1.0) for name in self.names)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The terms, in the order of `names`."""
        return tuple(_as_loss(self.terms[name]) for name in self.names)

    @property
    def output_names(self) -> set[str]:
        """The model's outputs that any term reads."""
        return {name for loss in self.losses for name in loss.weights}

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum of each term over the batch, float32 T."""
        for term, loss in zip(self.names, self.losses, strict=True):
            check_outputs(outputs, loss.weights, term)
        outputs, masks = self.task.class_outputs(outputs), self.task.class_masks(masks)
        sums = [
            loss(outputs, masks) if factor == 1 else factor * loss(outputs, masks)
            for loss, factor in zip(self.losses, self.factors, strict=True)
        ]
        return torch.stack(sums)

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor of each term, float32 T."""
        masks = self.task.class_masks(masks)
        return torch.stack([loss.count(masks) for loss in self.losses])

    def set_progress(self, share: float) -> None:
        """Says what share of the training is done, from 0 to 1, to the terms that follow it."""
        for loss in self.losses:
            if isinstance(loss, FollowsProgress):
                loss.progress = share

    @property
    def wants_frequencies(self) -> bool:
        """Whether a term waits for class weights by the classes' frequencies (`balance`)."""
        return any(isinstance(loss, BalancesClasses) and loss.wants_frequencies for loss in self.losses)

    def balance(self, weights: Sequence[float]) -> None:
        """Gives class weights to the terms that wait for them. Raises InputError."""
        for loss in self.losses:
            if isinstance(loss, BalancesClasses) and loss.wants_frequencies:
                loss.balance(weights)

    def check(self, num_classes: int) -> None:
        """Raises InputError where a term does not fit the number of classes."""
        for loss in self.losses:
            if isinstance(loss, ChecksClasses):
                loss.check(self.task.choices(num_classes))


class _Wrapped(nn.Module):
    """A loss that is no module, so that it can stand among modules."""

    def __init__(self, loss: Loss):
        super().__init__()
        self.loss = loss


def _as_module(loss: Loss) -> nn.Module:
    return loss if isinstance(loss, nn.Module) else _Wrapped(loss)


def _as_loss(module: nn.Module) -> Loss:
    return module.loss if isinstance(module, _Wrapped) else module  # type: ignore[return-value]
