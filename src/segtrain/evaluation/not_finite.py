"""Logits that are not finite, whose argmax would be class 0: noticed at no cost, and explained."""

from __future__ import annotations

import threading
from collections.abc import Callable

from torch import Tensor, nn

from segtrain.contracts import Sample
from segtrain.engine.replay import watched
from segtrain.errors import DivergedError, NotFinite

NAMED = 4  # images that the message names


class Totals(threading.local):
    """The sum of all logits that a thread has computed since it looked: not finite where one of them is not.

    A sum reads the logits once and makes no map of them; isfinite takes twelve times as long. It stays on
    the device, so that a GPU is not waited for.
    """

    total: Tensor | None = None

    def add(self, logits: Tensor) -> Tensor:
        """Notes logits, and gives them."""
        total = logits.sum()
        self.total = total if self.total is None else self.total + total
        return logits

    def taken(self) -> list[Tensor]:
        """The sum, if there is one; the next one begins at 0."""
        total, self.total = self.total, None
        return [] if total is None else [total]


def refuse_not_finite(
    model: nn.Module, run: Callable[[list[Sample]], object], samples: list[Sample], precision: str
) -> None:
    """Runs the model again on samples whose logits were not finite, and says which, and why.

    Args:
        model: that gave them.
        run: applies it to samples of one size.
        samples: of one size.
        precision: that it computes in.

    Raises:
        DivergedError: a weight is not finite.
        NotFinite: the weights are, and so the images' values are to blame, or the precision.
    """
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise DivergedError(
                f"the weights are not finite ({name}), so the network predicts nothing",
                do="take an earlier checkpoint; the training diverged before this one",
            )
    with watched(model) as found:
        run(samples)
        if not found:  # the sum itself was too large
            return
        first = found[0]
        guilty = [sample.name for sample in samples if _is_found(found, run, sample)]
    names = guilty or [sample.name for sample in samples]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    do = "look at the image's values, or train longer or with a lower optimizer.lr"
    raise NotFinite(
        f"{', '.join(names[:NAMED])}{more}: the network's logits are not finite; first so is {first}",
        do=do if precision == "32" else "use precision=32",
    )


def _is_found(found: list[str], run: Callable[[list[Sample]], object], sample: Sample) -> bool:
    found.clear()
    run([sample])
    return bool(found)
