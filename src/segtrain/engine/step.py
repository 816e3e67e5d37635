"""One optimizer step, and what is kept of one that diverged."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from segtrain.distributed import process_group
from segtrain.engine import replay
from segtrain.engine.loader import Batch
from segtrain.engine.state import Run, freeze_norms
from segtrain.errors import DivergedError


def train_step(run: Run, batches: list[Batch], folder: Path) -> float:
    """One optimizer step over one or more batches; gives the loss.

    The divisor is the count of the whole step over all batches and ranks: a mean of means is
    another gradient where void is spread unevenly, and a batch of void alone would be 0/0.

    Raises:
        DivergedError: the loss is not finite; the weights are as before, and kept in `folder`.
    """
    device = run.compute.device
    masks = [m.to(device, non_blocking=True) for _, m, _ in batches]
    count = process_group.sum_over_ranks(torch.stack([run.loss.count(m) for m in masks]).sum())
    count = count + (count == 0)
    run.wrapped.train()
    if run.settings.freeze_norm:
        freeze_norms(run.model)
    total = torch.zeros((), device=device)
    for i, ((images, _, _), mask) in enumerate(zip(batches, masks, strict=True)):
        with run.compute.autocast():
            outputs = run.wrapped(images.to(device, non_blocking=True))
        loss = run.loss(outputs, mask) / count
        total += loss.detach()
        if i == len(batches) - 1:
            # Sent before the backward pass, so that a GPU has work while the loss is looked at.
            own, everybodys = _sent(total.clone()), _sent(process_group.sum_over_ranks(total))
        # DistributedDataParallel averages over the ranks; the sum is wanted.
        run.scaler.scale(loss * process_group.world_size()).backward()
    if not math.isfinite(everybodys()):
        raise _diverged(run, batches, own(), everybodys(), folder)
    if run.settings.clip_norm:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), run.settings.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    process_group.share_norms(run.model)
    if run.averaged:
        run.averaged.update_parameters(run.model)
    return everybodys()


def step_seed(run: Run) -> int:
    return hash((run.settings.seed, run.step, process_group.rank()))


def _sent(x: Tensor) -> Callable[[], float]:
    """Starts the way of a scalar to the host; the function waits for it, and for no later work."""
    if x.device.type != "cuda":
        return x.item
    copy = x.to("cpu", non_blocking=True)
    sent = torch.cuda.current_stream().record_event()

    def value() -> float:
        sent.synchronize()
        return copy.item()

    return value


def _diverged(run: Run, batches: list[Batch], own: float, loss: float, folder: Path) -> DivergedError:
    """The error that names the step, and images and a file for a replay where it is this rank's."""
    step, rate = run.step + 1, run.optimizer.param_groups[0]["lr"]
    where = f"the loss is {loss} at step {step} (learning rate {rate:.3g}"
    do = "lower optimizer.lr or set clip_norm=1; the checkpoints are from before"
    if math.isfinite(own):
        return DivergedError(f"{where}; another rank's images)", do=do)
    class_weights = getattr(run.loss, "class_weights", None)
    about = {
        "at": {"step": step, "learning_rate": rate, "loss": str(loss), "seed": step_seed(run)},
        "precision": run.compute.precision,
        "freeze_norm": run.settings.freeze_norm,
        "progress": run.loss.progress,
        "class_weights": None if class_weights is None else class_weights.tolist(),
    }
    path = replay.keep(run.checkpoint(weights_only=True), batches, about, folder)
    names = [name for _, _, names in batches for name in names]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    what = f"{where}; images {', '.join(names[:8])}{more})"
    return DivergedError(what, do=f"{do}; the layer that did it: segtrain replay={path}")
