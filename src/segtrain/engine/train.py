"""The training loop: counted in optimizer steps, resumable at any of them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from segtrain.engine import checkpoint, distributed
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute
from segtrain.engine.loader import Augmented, Batch, TrainingStream, training_batches
from segtrain.engine.logging import RunLog
from segtrain.engine.signals import StopSignals
from segtrain.errors import DivergedError


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

    def checkpoint(self, *, weights_only: bool = False) -> Checkpoint:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.averaged:
            tensors |= {f"ema.{k}": v for k, v in self.averaged.module.state_dict().items()}
        if not weights_only:
            state = checkpoint.optimizer_tensors(self.optimizer)
            tensors |= {f"optimizer.{k}": v for k, v in state.items()}
        meta = self.meta | {"step": self.step, "best": self.best, "scaler": self.scaler.state_dict()}
        return Checkpoint(tensors, meta)

    def restore(self, saved: Checkpoint) -> None:
        """Continues where `saved` was made."""
        self.model.load_state_dict(saved.part("model"))
        checkpoint.load_optimizer(self.optimizer, saved.part("optimizer"))
        if self.averaged:
            self.averaged.module.load_state_dict(saved.part("ema") or saved.part("model"))
            self.averaged.n_averaged.fill_(saved.meta["step"])
        self.scaler.load_state_dict(saved.meta["scaler"])
        self.step, self.best = saved.meta["step"], saved.meta["best"]


def fit(run: Run, dataset: Augmented, log: RunLog, validate: Callable[[nn.Module, int], dict]) -> dict:
    """Trains up to `max_steps` and gives the last validation's figures.

    Args:
        run: is changed in place.
        dataset: of the training split.
        validate: evaluates a model at a step; its `mean_iou` decides which is the best.

    Raises:
        DivergedError: the loss is not finite; the checkpoints are from before.
        SaveError: a checkpoint could not be written.
        Stopped: SIGTERM, SIGUSR1 or Ctrl-C came; last.ckpt is of this very step.
    """
    settings, folder = run.settings, log.folder / "checkpoints"
    batches = _batches(run, dataset)
    figures: dict = {}
    meter, status = Meter(), ""
    with StopSignals() as stop, log.progress("training", settings.max_steps, done=run.step) as update:
        while run.step < settings.max_steps:
            rate = _set_rates(run)
            run.loss.progress = run.step / settings.max_steps
            # Dropout is then a function of (seed, step) too, and resume needs no random state.
            torch.manual_seed(hash((settings.seed, run.step, distributed.rank())))
            meter.add(_train_step(run, meter.take(batches, settings.accumulate)))
            run.step += 1
            last = run.step == settings.max_steps
            if last or run.step % settings.log_every == 0:
                values = meter.read(run.step, rate)
                run.seconds_per_step = values["seconds_per_step"]
                log.scalars(run.step, "train", values)
                status = _status(values)
            update(1, status)
            if last or run.step % settings.val_every == 0:
                meter.check_finite(run.step, rate)
                with meter.paused():
                    figures = validate(run.evaluated, run.step)
                    _keep_best(run, figures, folder)
            if last or run.step % settings.checkpoint_every == 0:
                _save_last(run, meter, rate, folder)
            if distributed.any_rank(stop.requested, run.compute.device):
                _save_last(run, meter, rate, folder)
                raise stop.stopped(folder / checkpoint.LAST, run.step)
    return figures or validate(run.evaluated, run.step)


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


def _train_step(run: Run, batches: list[Batch]) -> Tensor:
    """One optimizer step over one or more batches; the loss as a scalar tensor.

    The divisor is the count of the whole step over all batches and ranks: a mean of means is
    another gradient where void is spread unevenly, and a batch of void alone would be 0/0.
    """
    device = run.compute.device
    masks = [m.to(device, non_blocking=True) for _, m, _ in batches]
    count = distributed.sum_over_ranks(torch.stack([run.loss.count(m) for m in masks]).sum())
    count = count + (count == 0)
    run.wrapped.train()
    if run.settings.freeze_norm:
        freeze_norms(run.model)
    total = torch.zeros((), device=device)
    for (images, _, _), mask in zip(batches, masks, strict=True):
        with run.compute.autocast():
            outputs = run.wrapped(images.to(device, non_blocking=True))
        loss = run.loss(outputs, mask) / count
        # DistributedDataParallel averages over the ranks; the sum is wanted.
        run.scaler.scale(loss * distributed.world_size()).backward()
        total += loss.detach()
    if run.settings.clip_norm:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), run.settings.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    if run.averaged:
        run.averaged.update_parameters(run.model)
    return distributed.sum_over_ranks(total)


def freeze_norms(model: nn.Module) -> None:
    """Every BatchNorm uses its running statistics and keeps its scale and shift, as Caffe's
    `use_global_stats` with rate 0 (DeepLab v2), until the model is put into training mode again."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval().requires_grad_(False)


def _keep_best(run: Run, figures: dict, folder: Path) -> None:
    """Writes best.ckpt (weights alone) where no validation before was as good.

    The network's own figure counts: the CRF takes part in the last validation alone.
    """
    score = figures.get("without_crf", figures)["mean_iou"] or 0.0
    if score > run.best:
        run.best = score
        if distributed.rank() == 0:
            checkpoint.save(run.checkpoint(weights_only=True), folder / checkpoint.BEST)


def _save_last(run: Run, meter: "Meter", rate: float, folder: Path) -> None:
    meter.check_finite(run.step, rate)
    if distributed.rank() == 0:
        last, previous = folder / checkpoint.LAST, folder / checkpoint.PREVIOUS
        checkpoint.save(run.checkpoint(), last, previous=previous)


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
    """Sums since the last reading; the loss stays on the device until then."""

    def __init__(self):
        self._reset()

    def _reset(self) -> None:
        self.losses: list[Tensor] = []
        self.pictures, self.waiting, self.start = 0, 0.0, time.perf_counter()

    def take(self, batches: Iterator[Batch], count: int) -> list[Batch]:
        """The next batches, with the time that they were waited for."""
        before = time.perf_counter()
        taken = [next(batches) for _ in range(count)]
        self.waiting += time.perf_counter() - before
        self.pictures += sum(len(images) for images, _, _ in taken)
        return taken

    def add(self, loss: Tensor) -> None:
        self.losses.append(loss)

    @contextmanager
    def paused(self):
        """What happens inside does not count as time of the steps."""
        before = time.perf_counter()
        yield
        self.start += time.perf_counter() - before

    def check_finite(self, step: int, rate: float) -> None:
        """Raises DivergedError where a loss since the last reading was not finite."""
        for i, loss in enumerate(torch.stack(self.losses).tolist() if self.losses else []):
            if not math.isfinite(loss):
                at = step - len(self.losses) + 1 + i
                raise DivergedError(
                    f"the loss is {loss} at step {at} (learning rate {rate:.3g})",
                    do="lower optimizer.lr or set clip_norm=1; the checkpoints are from before",
                )

    def read(self, step: int, rate: float) -> dict[str, float]:
        """What happened since the last reading. Raises DivergedError."""
        self.check_finite(step, rate)
        seconds = time.perf_counter() - self.start
        values = {
            "loss": torch.stack(self.losses).mean().item(),
            "lr": rate,
            "pictures_per_second": distributed.world_size() * self.pictures / seconds,
            "seconds_per_step": seconds / len(self.losses),
            "waiting_for_data": self.waiting / seconds,
        }
        self._reset()
        return values


def _status(values: dict[str, float]) -> str:
    return f"loss {values['loss']:.4f}  lr {values['lr']:.2e}  {values['pictures_per_second']:.1f} pictures/s"
