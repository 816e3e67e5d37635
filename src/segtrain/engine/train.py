"""The training loop: counted in optimizer steps, resumable at any of them."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from segtrain.contracts import EvaluationStopped, ValidationResult
from segtrain.distributed import process_group
from segtrain.distributed.signals import StopSignals
from segtrain.engine import checkpoint
from segtrain.engine.loader import Augmented, Batch, TrainingStream, training_batches
from segtrain.engine.numbered import keep_numbered
from segtrain.engine.state import TrainState
from segtrain.engine.step import step_seed, train_step
from segtrain.engine.stopping import is_over, note_validation
from segtrain.errors import DivergedError, NotFinite, SaveError
from segtrain.loggers.run_log import RunLog

Result = TypeVar("Result", bound=ValidationResult)
DO = "lower optimizer.lr or set clip_norm=1; the checkpoints are from before"
Validate = Callable[[nn.Module, int], Result]  # a model and the step that it is of


def fit(
    state: TrainState, dataset: Augmented, log: RunLog, validate: Validate[Result], stop: StopSignals
) -> Result:
    """Trains up to `max_steps`, or until `early_stop` ends it.

    Args:
        state: is changed in place.
        dataset: of the training split.
        validate: evaluates a model at a step; the network's mean IoU decides which is the best. It may
            raise EvaluationStopped once `stop` was requested.
        stop: asked at every step.

    Returns:
        The result of the last validation.

    Raises:
        DivergedError: the loss, a weight or the logits of a validation image are not finite; the
            checkpoints are from before.
        SaveError: a checkpoint could not be written.
        Stopped: SIGTERM, SIGUSR1 or Ctrl-C came; last.ckpt is of this very step.
    """
    settings, folder = state.settings, log.folder / "checkpoints"
    stopped = partial(_stop_everywhere, stop)
    batches, first, result = _batches(state, dataset, stopped), state.step, None
    state.validation_pending |= is_over(state)
    meter, status = Meter(state.losses), ""
    with stop, closing(batches), log.progress("training", settings.max_steps, done=state.step) as advance:
        while True:
            if state.validation_pending:
                with meter.paused():
                    result = _validate(state, validate, log)

            last = is_over(state)
            # Taken before the ranks agree on whether to stop, for a loader may be stuck on one of them.
            with meter.waiting():
                taken = [] if last or stopped() else list(islice(batches, settings.accumulate))
            enough = last or len(taken) == settings.accumulate
            stopping = process_group.any_rank(stop.requested or not enough)
            due = state.step > first and (last or state.step % settings.checkpoint_every == 0)
            if stopping or due:
                _save_last(state, log)
            if stopping or (last and process_group.any_rank(stop.requested)):
                raise stop.stopped(folder / checkpoint.LAST, state.step)
            if last:
                assert result is not None
                return result

            rate = _set_rates(state)
            # Dropout is then a function of (seed, step) too, and resume needs no random state.
            state.compute.seed(step_seed(state))
            meter.add(train_step(state, taken, log.folder), sum(len(images) for images, _, _ in taken))
            state.step += 1

            last = state.step == settings.max_steps
            if last or state.step % settings.log_every == 0:
                values = meter.read(rate, state.loss.names)
                state.step_seconds.append(values["seconds_per_step"])
                log.scalars(state.step, "train", values)
                status = _status(values)
            advance(1, status)
            state.validation_pending = last or state.step % settings.val_every == 0


def _stop_everywhere(stop: StopSignals) -> bool:
    """Whether a signal came here or to another rank; the others hear of ours."""
    return process_group.any_rank_so_far(stop.requested)


def _validate(state: TrainState, validate: Validate[Result], log: RunLog) -> Result | None:
    """Validates and writes best.ckpt; None where a signal stopped the validation."""
    try:
        result = validate(state.evaluated, state.step)
    except EvaluationStopped:
        return None
    except (NotFinite, DivergedError) as error:
        _check_weights(state)
        what = f"validation after step {state.step}: {error.what}"
        raise DivergedError(what, do=DO) from error
    before = state.schedule(state.step, state.settings.max_steps)
    _save_best(state, result.network.mean_iou or 0.0, log.folder / "checkpoints")
    share = state.schedule(state.step, state.settings.max_steps) / before if before else 1.0
    if share < 1:  # schedule=plateau reacted
        log.say(f"step {state.step}: no better mean IoU, the learning rate is multiplied by {share:.3g}")
    state.validation_pending = False
    return result


def _batches(
    state: TrainState, dataset: Augmented, should_stop: Callable[[], bool]
) -> Generator[Batch, None, None]:
    settings, world_size = state.settings, process_group.world_size()
    stream = TrainingStream(
        len(dataset),
        settings.batch_size,
        seed=settings.seed,
        start=state.step * settings.accumulate * settings.batch_size * world_size,
        rank=process_group.rank(),
        world_size=world_size,
    )
    pinned = state.compute.device.type == "cuda"
    return training_batches(
        dataset, stream, num_workers=settings.num_workers, pinned=pinned, should_stop=should_stop
    )


def _set_rates(state: TrainState) -> float:
    """Sets every group's learning rate for this step, and what follows the progress of the training.

    Returns:
        The first group's learning rate.
    """
    factor = state.schedule(state.step, state.settings.max_steps)
    for group in state.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    state.loss.set_progress(state.step / state.settings.max_steps)
    return state.optimizer.param_groups[0]["lr"]


def _save_best(state: TrainState, mean_iou: float, folder: Path) -> None:
    """Writes best.ckpt (weights alone) where no validation before was as good.

    The network's own metric counts: the CRF takes part in the last validation alone.
    """
    if note_validation(state, mean_iou):
        _check_weights(state)
        if process_group.rank() == 0:
            if not folder.parent.is_dir():
                raise SaveError(f"{folder.parent}: no such folder")
            checkpoint.save(state.checkpoint(weights_only=True), folder / checkpoint.BEST)


def _save_last(state: TrainState, log: RunLog) -> None:
    log.flush()  # so that a kill never leaves the records behind the checkpoint
    _check_weights(state)
    if process_group.rank() == 0:
        if not log.folder.is_dir():  # made anew, it would hold half of the run
            raise SaveError(f"{log.folder}: no such folder")
        folder = log.folder / "checkpoints"
        last, previous = folder / checkpoint.LAST, folder / checkpoint.PREVIOUS
        checkpoint.save(state.checkpoint(), last, previous=previous)
        keep_numbered(last, state.step, state.settings.keep_last)
    # A launcher takes the first rank that leaves for a sign to kill the others.
    process_group.wait_for_all()


@contextmanager
def noticing_a_lost_folder(folder: Path) -> Iterator[None]:
    """Says of failures to write that the run's folder is gone, where it is."""
    try:
        yield
    except (OSError, SaveError) as error:
        if folder.is_dir():
            raise
        raise SaveError(
            f"{folder}: the run's folder is gone, it was renamed or removed",
            do="resume from the last checkpoint where it is now",
        ) from error


def _check_weights(state: TrainState) -> None:
    """Raises DivergedError where a weight is not finite: such a network is never saved."""
    weights = {k: v for k, v in state.model.state_dict().items() if v.is_floating_point()}
    finite = torch.stack([v.isfinite().all() for v in weights.values()]).tolist()
    if not all(finite):
        rate, name = state.optimizer.param_groups[0]["lr"], list(weights)[finite.index(False)]
        raise DivergedError(
            f"{name} is not finite after step {state.step} (learning rate {rate:.3g})",
            do=DO,
        )


class Meter:
    """Means and times of the steps since the last reading.

    Args:
        losses: of the steps since then, which may be from before a resume; is changed in place.
    """

    def __init__(self, losses: list[list[float]]):
        self.losses = losses
        self._restart()

    def _restart(self) -> None:
        self.steps, self.images, self.waited, self.start = 0, 0, 0.0, time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens inside is waiting for data."""
        before = time.perf_counter()
        yield
        self.waited += time.perf_counter() - before

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside does not count as time of the steps."""
        before = time.perf_counter()
        yield
        self.start += time.perf_counter() - before

    def add(self, terms: list[float], images: int) -> None:
        """Adds a step: the value of each term of its loss, and how many images it had."""
        self.losses.append(terms)
        self.images += images
        self.steps += 1

    def read(self, rate: float, names: tuple[str, ...]) -> dict[str, float]:
        """The values since the last reading; with several terms of the loss `loss/NAME` for each."""
        seconds = time.perf_counter() - self.start
        values = {"loss": sum(map(sum, self.losses)) / len(self.losses)}
        if len(names) > 1:
            for i, name in enumerate(names):
                values[f"loss/{name}"] = sum(terms[i] for terms in self.losses) / len(self.losses)
        values |= {
            "lr": rate,
            "images_per_second": process_group.world_size() * self.images / seconds,
            "seconds_per_step": seconds / self.steps,
            "waiting_for_data": self.waited / seconds,
        }
        self.losses.clear()
        self._restart()
        return values


def _status(values: dict[str, float]) -> str:
    return f"loss {values['loss']:.4f}  lr {values['lr']:.2e}  {values['images_per_second']:.1f} images/s"
