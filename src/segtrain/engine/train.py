"""The training loop: counted in optimizer steps, resumable at any of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from segtrain.distributed import process_group
from segtrain.distributed.signals import StopSignals
from segtrain.engine import checkpoint
from segtrain.engine.loader import Augmented, Batch, TrainingStream, training_batches
from segtrain.engine.state import Run
from segtrain.engine.step import step_seed, train_step
from segtrain.errors import DivergedError
from segtrain.evaluation.evaluate import Interrupted
from segtrain.loggers.run_log import RunLog


def fit(
    run: Run,
    dataset: Augmented,
    log: RunLog,
    validate: Callable[[nn.Module, int], dict],
    stop: StopSignals,
) -> dict:
    """Trains up to `max_steps` and gives the last validation's metrics.

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
    metrics: dict = {}
    meter, status = Meter(run.losses), ""
    with stop, log.progress("training", settings.max_steps, done=run.step) as update:
        while True:
            if run.validation_left:
                with meter.paused():
                    metrics = _validate(run, validate, folder)
            last = run.step >= settings.max_steps
            stopping = process_group.any_rank(stop.requested, device)
            due = run.step > first and (last or run.step % settings.checkpoint_every == 0)
            if stopping or due:
                _save_last(run, log)
            if stopping or (last and process_group.any_rank(stop.requested, device)):
                raise stop.stopped(folder / checkpoint.LAST, run.step)
            if last:
                return metrics
            rate = _set_rates(run)
            run.loss.progress = run.step / settings.max_steps
            # Dropout is then a function of (seed, step) too, and resume needs no random state.
            run.compute.seed(step_seed(run))
            meter.add(train_step(run, meter.take(batches, settings.accumulate), log.folder))
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
    """The metrics, and best.ckpt; nothing where a signal broke it off."""
    try:
        metrics = validate(run.evaluated, run.step)
    except Interrupted:
        return {}
    _keep_best(run, metrics, folder)
    run.validation_left = False
    return metrics


def _batches(run: Run, dataset: Augmented) -> Iterator[Batch]:
    settings, world_size = run.settings, process_group.world_size()
    stream = TrainingStream(
        len(dataset),
        settings.batch_size,
        seed=settings.seed,
        start=run.step * settings.accumulate * settings.batch_size * world_size,
        rank=process_group.rank(),
        world_size=world_size,
    )
    return training_batches(dataset, stream, num_workers=settings.num_workers)


def _set_rates(run: Run) -> float:
    """Sets every group's learning rate for this step and returns the first group's."""
    factor = run.schedule(run.step, run.settings.max_steps)
    for group in run.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return run.optimizer.param_groups[0]["lr"]


def _keep_best(run: Run, metrics: dict, folder: Path) -> None:
    """Writes best.ckpt (weights alone) where no validation before was as good.

    The network's own figure counts: the CRF takes part in the last validation alone.
    """
    score = metrics.get("without_crf", metrics)["mean_iou"] or 0.0
    if score > run.best:
        _check_weights(run)
        run.best = score
        if process_group.rank() == 0:
            checkpoint.save(run.checkpoint(weights_only=True), folder / checkpoint.BEST)


def _save_last(run: Run, log: RunLog) -> None:
    log.flush()  # so that a kill never leaves the records behind the checkpoint
    _check_weights(run)
    if process_group.rank() == 0:
        folder = log.folder / "checkpoints"
        last, previous = folder / checkpoint.LAST, folder / checkpoint.PREVIOUS
        checkpoint.save(run.checkpoint(), last, previous=previous)
    # A launcher takes the first rank that leaves for a sign to kill the others.
    process_group.wait_for_all(run.compute.device)


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


class Meter:
    """Sums since the last reading.

    Args:
        losses: of the steps since then, which may be of before a resume; is changed in place.
    """

    def __init__(self, losses: list[float]):
        self.losses = losses
        self._restart()

    def _restart(self) -> None:
        self.steps, self.images, self.waiting, self.start = 0, 0, 0.0, time.perf_counter()

    def take(self, batches: Iterator[Batch], count: int) -> list[Batch]:
        """The next batches, with the time that they were waited for."""
        before = time.perf_counter()
        taken = [next(batches) for _ in range(count)]
        self.waiting += time.perf_counter() - before
        self.images += sum(len(images) for images, _, _ in taken)
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
            "images_per_second": process_group.world_size() * self.images / seconds,
            "seconds_per_step": seconds / self.steps,
            "waiting_for_data": self.waiting / seconds,
        }
        self.losses.clear()
        self._restart()
        return values


def _status(values: dict[str, float]) -> str:
    return f"loss {values['loss']:.4f}  lr {values['lr']:.2e}  {values['images_per_second']:.1f} images/s"
