"""One optimizer step, and what is saved of one that diverged."""

import math
from pathlib import Path

import torch
from torch import nn

from segtrain.contracts import BalancesClasses
from segtrain.distributed import process_group
from segtrain.engine import replay
from segtrain.engine.freezing import hold_frozen
from segtrain.engine.loader import Batch
from segtrain.engine.state import TrainState, freeze_norms
from segtrain.engine.transfer import to_device, to_host
from segtrain.errors import DivergedError
from segtrain.files import as_argument
from segtrain.seeds import seed_for

NAMED = 8  # images that the message of a diverged step names


def train_step(state: TrainState, batches: list[Batch], folder: Path) -> list[float]:
    """Takes one optimizer step over one or more batches.

    The divisor is the count of the whole step over all batches and ranks: a mean of means is
    another gradient where ignored pixels are spread unevenly, and a batch of ignored pixels alone
    would be 0/0.

    Args:
        state: is changed in place, but for `state.step`.
        folder: of the run, for the batches of a step that diverges.

    Returns:
        The value of each term of the loss; their sum is the loss.

    Raises:
        DivergedError: the loss is not finite; the weights are as before, and saved in `folder`.
    """
    device = state.compute.device
    masks = [to_device(mask, device) for _, mask, _ in batches]
    count = process_group.sum_over_ranks(torch.stack([state.loss.count(mask) for mask in masks]).sum(0))
    count = count + (count == 0)
    state.wrapped.train()
    if state.settings.freeze_norm:
        freeze_norms(state.model)
    hold_frozen(state.model, state.settings.freeze)
    total = torch.zeros_like(count)
    for i, ((images, _, _), mask) in enumerate(zip(batches, masks, strict=True)):
        with state.compute.autocast():
            outputs = state.wrapped(to_device(images, device))
        terms = state.loss(outputs, mask) / count
        total += terms.detach()
        if i == len(batches) - 1:
            # Sent before the backward pass, so that a GPU has work while the loss is looked at.
            sent = to_host(total.clone()), to_host(process_group.sum_over_ranks(total))
        # DistributedDataParallel averages over the ranks; the sum is wanted.
        state.scaler.scale(terms.sum() * process_group.world_size()).backward()
    own, everybodys = (there().tolist() for there in sent)
    if not math.isfinite(sum(everybodys)):
        raise _diverged(state, batches, sum(own), sum(everybodys), folder)
    if state.settings.clip_norm:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), state.settings.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    process_group.share_norms(state.model)
    if state.averaged:
        state.averaged.update(state.model, taken=state.step)
    return everybodys


def step_seed(state: TrainState) -> int:
    """The seed of dropout in this step and on this rank."""
    return seed_for(state.settings.seed, state.step, process_group.rank())


def _diverged(
    state: TrainState, batches: list[Batch], own: float, loss: float, folder: Path
) -> DivergedError:
    """The error that names the step, and images and a file for a replay where it is this rank's."""
    step, rate = state.step + 1, state.optimizer.param_groups[0]["lr"]
    where = f"the loss is {loss} at step {step} (learning rate {rate:.3g}"
    do = "lower optimizer.lr or set clip_norm=1; the checkpoints are from before"
    if math.isfinite(own):
        return DivergedError(f"{where}; another rank's images)", do=do)
    about = {
        "at": {"step": step, "learning_rate": rate, "loss": str(loss), "seed": step_seed(state)},
        "precision": state.compute.precision,
        "freeze_norm": state.settings.freeze_norm,
        "freeze": list(state.settings.freeze),
        "progress": state.step / state.settings.max_steps,
        "class_weights": _class_weights(state),
    }
    path = replay.save_batches(state.checkpoint(weights_only=True), batches, about, folder)
    names = [name for _, _, names in batches for name in names]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    what = f"{where}; images {', '.join(names[:NAMED])}{more})"
    return DivergedError(what, do=f"{do}; the layer that did it: segtrain {as_argument('replay', path)}")


def _class_weights(state: TrainState) -> list[float] | None:
    """Those that were computed from the classes' frequencies, or given."""
    for loss in state.loss.losses:
        if isinstance(loss, BalancesClasses) and loss.class_weights is not None:
            return loss.class_weights.tolist()
    return None
