"""The training loop: counted in optimizer steps, resumable at any of them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from segtrain.engine import checkpoint, distributed, replay
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute
from segtrain.engine.evaluate import Interrupted
from segtrain.engine.loader import Augmented, Batch, TrainingStream, training_batches
from segtrain.engine.logging import RunLog
from segtrain.engine.signals import StopSignals
from segtrain.errors import DivergedError, InputError


@dataclass(frozen=True)
class Settings:
    """The scalars of a training run, by their names at the root of `segtrain`."""

    seed: int
    max_steps: int
    batch_size: int
    accumulate: int
    clip_norm: float
    ema: float
    freeze_norm: bool
    val_every: int
    checkpoint_every: int
    log_every: int
    num_workers: int


@dataclass
class Run:
    """All that a checkpoint restores, and what it takes to go on.

    meta: goes into every checkpoint (config, classes). best: the best validation mean IoU.
    validation_left: of this step; a signal broke it off, or the run was resumed at its end.
    losses: of the steps that no line of the log has told of yet.
    """

    model: nn.Module
    loss: nn.Module
    optimizer: Optimizer
    schedule: Callable[[int, int], float]
    compute: Compute
    settings: Settings
    meta: dict
    step: int = 0
    best: float = -1.0
    validation_left: bool = False
    losses: list[float] = field(default_factory=list)
    seconds_per_step: float | None = None
    averaged: AveragedModel | None = None
    scaler: torch.amp.GradScaler = field(init=False)
    wrapped: nn.Module = field(init=False)

    def __post_init__(self):
        if self.settings.ema and self.averaged is None:
            self.averaged = AveragedModel(self.model, multi_avg_fn=_ema(self.settings.ema), use_buffers=True)
        self.scaler = torch.amp.GradScaler(self.compute.device.type, enabled=self.compute.precision == "16")
        self.wrapped = distributed.wrap(self.model, some_outputs=set(self.loss.weights) == {"out"})

    @property
    def evaluated(self) -> nn.Module:
        """The model to validate: the running average where there is one."""
        return self.averaged.module if self.averaged else self.model

    @property
    def batch(self) -> dict[str, Any]:
        """Of how many pictures a step is; and BatchNorm's statistics, and how many of these in a step."""
        settings, ranks = self.settings, distributed.world_size()
        pictures = settings.batch_size * (ranks if distributed.synchronises_norms(self.model) else 1)
        trains = not settings.freeze_norm and any(map(is_batch_norm, self.model.modules()))
        return {
            "pictures": settings.batch_size * settings.accumulate * ranks,
            "statistics": [pictures, settings.accumulate] if trains else None,
        }

    def checkpoint(self, *, weights_only: bool = False) -> Checkpoint:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.averaged:
            tensors |= {f"ema.{k}": v for k, v in self.averaged.module.state_dict().items()}
        if not weights_only:
            state = checkpoint.optimizer_tensors(self.optimizer)
            tensors |= {f"optimizer.{k}": v for k, v in state.items()}
        own = {"step": self.step, "best": self.best, "losses": self.losses, "batch": self.batch}
        own |= {"validation_left": self.validation_left, "scaler": self.scaler.state_dict()}
        return Checkpoint(tensors, self.meta | own)

    def restore(self, saved: Checkpoint) -> None:
        """Continues where `saved` was made. Raises InputError where the steps would be others."""
        self._check_batch(saved.meta.get("batch", self.batch))
        self.model.load_state_dict(saved.part("model"))
        checkpoint.load_optimizer(self.optimizer, saved.part("optimizer"))
        if self.averaged:
            self.averaged.module.load_state_dict(saved.part("ema") or saved.part("model"))
            self.averaged.n_averaged.fill_(saved.meta["step"])
        self.scaler.load_state_dict(saved.meta["scaler"])
        self.step, self.best = saved.meta["step"], saved.meta["best"]
        self.losses = list(saved.meta.get("losses", ()))
        self.validation_left = saved.meta.get("validation_left", False)

    def _check_batch(self, before: dict[str, Any]) -> None:
        settings, ranks, now = self.settings, distributed.world_size(), self.batch
        here = f"batch_size={settings.batch_size} × accumulate={settings.accumulate} × {ranks} process"
        here += "es" if ranks > 1 else ""
        if before["pictures"] != now["pictures"]:
            raise InputError(
                f"resume: a step was {before['pictures']} pictures, {here} is {now['pictures']}",
                do=f"make them {before['pictures']} again, or begin anew with init_from=",
            )
        if before["statistics"] and now["statistics"] and before["statistics"] != now["statistics"]:
            pictures, times = before["statistics"]
            raise InputError(
                f"resume: BatchNorm took statistics of {pictures} pictures {times} × a step and process,"
                f" with {here} of {now['statistics'][0]} pictures {now['statistics'][1]} ×",
                do="take batch_size, accumulate and the number of processes of before, or freeze_norm=true",
            )


def fit(
    run: Run,
    dataset: Augmented,
    log: RunLog,
    validate: Callable[[nn.Module, int], dict],
    stop: StopSignals,
) -> dict:
    """Trains up to `max_steps` and gives the last validation's figures.

    Args:
        run: is changed in place.
        dataset: of the training split.
        validate: evaluates a model at a step; its `mean_iou` decides which is the best. It may raise
            Interrupted once `stop` was requested.
        stop: asked at every step.

    Raises:
        DivergedError: the loss or a weight is not finite; the checkpoints are from before.
        SaveError: a checkpoint could not be written.
        Stopped: SIGTERM, SIGUSR1 or Ctrl-C came; last.ckpt is of this very step.
    """
    settings, folder, device = run.settings, log.folder / "checkpoints", run.compute.device
    batches, first = _batches(run, dataset), run.step
    run.validation_left |= run.step >= settings.max_steps
    figures: dict = {}
    meter, status = Meter(run.losses), ""
    with stop, log.progress("training", settings.max_steps, done=run.step) as update:
        while True:
            if run.validation_left:
                with meter.paused():
                    figures = _validate(run, validate, folder)
            last = run.step >= settings.max_steps
            stopping = distributed.any_rank(stop.requested, device)
            due = run.step > first and (last or run.step % settings.checkpoint_every == 0)
            if stopping or due:
                _save_last(run, log)
            if stopping or (last and distributed.any_rank(stop.requested, device)):
                raise stop.stopped(folder / checkpoint.LAST, run.step)
            if last:
                return figures
            rate = _set_rates(run)
            run.loss.progress = run.step / settings.max_steps
            # Dropout is then a function of (seed, step) too, and resume needs no random state.
            run.compute.seed(_step_seed(run))
            meter.add(_train_step(run, meter.take(batches, settings.accumulate), log.folder))
            run.step += 1
            last = run.step == settings.max_steps
            if last or run.step % settings.log_every == 0:
                values = meter.read(rate)
                run.seconds_per_step = values["seconds_per_step"]
                log.scalars(run.step, "train", values)
                status = _status(values)
            update(1, status)
            run.validation_left = last or run.step % settings.val_every == 0


def _validate(run: Run, validate: Callable[[nn.Module, int], dict], folder: Path) -> dict:
    """The figures, and best.ckpt; nothing where a signal broke it off."""
    try:
        figures = validate(run.evaluated, run.step)
    except Interrupted:
        return {}
    _keep_best(run, figures, folder)
    run.validation_left = False
    return figures


def _batches(run: Run, dataset: Augmented) -> Iterator[Batch]:
    settings, world_size = run.settings, distributed.world_size()
    stream = TrainingStream(
        len(dataset),
        settings.batch_size,
        seed=settings.seed,
        start=run.step * settings.accumulate * settings.batch_size * world_size,
        rank=distributed.rank(),
        world_size=world_size,
    )
    return training_batches(dataset, stream, num_workers=settings.num_workers)


def _set_rates(run: Run) -> float:
    """Sets every group's learning rate for this step and returns the first group's."""
    factor = run.schedule(run.step, run.settings.max_steps)
    for group in run.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return run.optimizer.param_groups[0]["lr"]


def _step_seed(run: Run) -> int:
    return hash((run.settings.seed, run.step, distributed.rank()))


def _train_step(run: Run, batches: list[Batch], folder: Path) -> float:
    """One optimizer step over one or more batches; gives the loss.

    The divisor is the count of the whole step over all batches and ranks: a mean of means is
    another gradient where void is spread unevenly, and a batch of void alone would be 0/0.

    Raises:
        DivergedError: the loss is not finite; the weights are as before, and kept in `folder`.
    """
    device = run.compute.device
    masks = [m.to(device, non_blocking=True) for _, m, _ in batches]
    count = distributed.sum_over_ranks(torch.stack([run.loss.count(m) for m in masks]).sum())
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
            own, everybodys = _sent(total.clone()), _sent(distributed.sum_over_ranks(total))
        # DistributedDataParallel averages over the ranks; the sum is wanted.
        run.scaler.scale(loss * distributed.world_size()).backward()
    if not math.isfinite(everybodys()):
        raise _diverged(run, batches, own(), everybodys(), folder)
    if run.settings.clip_norm:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), run.settings.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    distributed.share_norms(run.model)
    if run.averaged:
        run.averaged.update_parameters(run.model)
    return everybodys()


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
    """The error that names the step, and pictures and a file for a replay where it is this rank's."""
    step, rate = run.step + 1, run.optimizer.param_groups[0]["lr"]
    where = f"the loss is {loss} at step {step} (learning rate {rate:.3g}"
    do = "lower optimizer.lr or set clip_norm=1; the checkpoints are from before"
    if math.isfinite(own):
        return DivergedError(f"{where}; another rank's pictures)", do=do)
    class_weights = getattr(run.loss, "class_weights", None)
    about = {
        "at": {"step": step, "learning_rate": rate, "loss": str(loss), "seed": _step_seed(run)},
        "precision": run.compute.precision,
        "freeze_norm": run.settings.freeze_norm,
        "progress": run.loss.progress,
        "class_weights": None if class_weights is None else class_weights.tolist(),
    }
    path = replay.keep(run.checkpoint(weights_only=True), batches, about, folder)
    names = [name for _, _, names in batches for name in names]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    what = f"{where}; pictures {', '.join(names[:8])}{more})"
    return DivergedError(what, do=f"{do}; the layer that did it: segtrain replay={path}")


def freeze_norms(model: nn.Module) -> None:
    """Every BatchNorm uses its running statistics and keeps its scale and shift, as Caffe's
    `use_global_stats` with rate 0 (DeepLab v2), until the model is put into training mode again."""
    for module in model.modules():
        if is_batch_norm(module):
            module.eval().requires_grad_(False)


def is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def _keep_best(run: Run, figures: dict, folder: Path) -> None:
    """Writes best.ckpt (weights alone) where no validation before was as good.

    The network's own figure counts: the CRF takes part in the last validation alone.
    """
    score = figures.get("without_crf", figures)["mean_iou"] or 0.0
    if score > run.best:
        _check_weights(run)
        run.best = score
        if distributed.rank() == 0:
            checkpoint.save(run.checkpoint(weights_only=True), folder / checkpoint.BEST)


def _save_last(run: Run, log: RunLog) -> None:
    log.flush()  # so that a kill never leaves the records behind the checkpoint
    _check_weights(run)
    if distributed.rank() == 0:
        folder = log.folder / "checkpoints"
        last, previous = folder / checkpoint.LAST, folder / checkpoint.PREVIOUS
        checkpoint.save(run.checkpoint(), last, previous=previous)
    # A launcher takes the first rank that leaves for a sign to kill the others.
    distributed.wait_for_all(run.compute.device)


def _check_weights(run: Run) -> None:
    """Raises DivergedError where a weight is not finite: such a network is never saved."""
    state = {k: v for k, v in run.model.state_dict().items() if v.is_floating_point()}
    finite = torch.stack([v.isfinite().all() for v in state.values()]).tolist()
    if not all(finite):
        rate, name = run.optimizer.param_groups[0]["lr"], list(state)[finite.index(False)]
        raise DivergedError(
            f"{name} is not finite after step {run.step} (learning rate {rate:.3g})",
            do="lower optimizer.lr or set clip_norm=1; the checkpoints are from before",
        )


def _ema(decay: float):
    """A running average that forgets its start: the decay grows as (1+n)/(10+n) up to `decay`."""

    @torch.no_grad()
    def average(averages: list[Tensor], values: list[Tensor], n: int) -> None:
        weight = 1 - min(decay, (1 + float(n)) / (10 + float(n)))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value.to(average.dtype), weight)
            else:
                average.copy_(value)

    return average


class Meter:
    """Sums since the last reading.

    Args:
        losses: of the steps since then, which may be of before a resume; is changed in place.
    """

    def __init__(self, losses: list[float]):
        self.losses = losses
        self._restart()

    def _restart(self) -> None:
        self.steps, self.pictures, self.waiting, self.start = 0, 0, 0.0, time.perf_counter()

    def take(self, batches: Iterator[Batch], count: int) -> list[Batch]:
        """The next batches, with the time that they were waited for."""
        before = time.perf_counter()
        taken = [next(batches) for _ in range(count)]
        self.waiting += time.perf_counter() - before
        self.pictures += sum(len(images) for images, _, _ in taken)
        return taken

    def add(self, loss: float) -> None:
        self.losses.append(loss)
        self.steps += 1

    @contextmanager
    def paused(self):
        """What happens inside does not count as time of the steps."""
        before = time.perf_counter()
        yield
        self.start += time.perf_counter() - before

    def read(self, rate: float) -> dict[str, float]:
        """What happened since the last reading."""
        seconds = time.perf_counter() - self.start
        values = {
            "loss": sum(self.losses) / len(self.losses),
            "lr": rate,
            "pictures_per_second": distributed.world_size() * self.pictures / seconds,
            "seconds_per_step": seconds / self.steps,
            "waiting_for_data": self.waiting / seconds,
        }
        self.losses.clear()
        self._restart()
        return values


def _status(values: dict[str, float]) -> str:
    return f"loss {values['loss']:.4f}  lr {values['lr']:.2e}  {values['pictures_per_second']:.1f} pictures/s"
