"""When a run is over: at `max_steps`, or after validations without a better mean IoU (`early_stop=`)."""

from typing import Any

from segtrain.contracts import ReactsToMetric
from segtrain.engine.state import TrainState


def is_over(state: TrainState) -> bool:
    """Whether a run takes no more steps."""
    return state.step >= state.settings.max_steps or stops_early(state.waited, state.settings.early_stop)


def stops_early(waited: Any, early_stop: int | None) -> bool:
    """Whether so many validations without a better one end a run; 0 or None ends none."""
    return bool(early_stop) and waited >= early_stop


def note_validation(state: TrainState, mean_iou: float) -> bool:
    """Counts a validation, and lets the schedule react; one of the same step again, of a run that was resumed
    at its end, counts once.

    Args:
        state: is changed in place.
        mean_iou: of the network.

    Returns:
        Whether it is better than all before.
    """
    again, state.validated = state.validated == state.step, state.step
    if isinstance(state.schedule, ReactsToMetric) and not again:
        state.schedule.react(mean_iou)
    if mean_iou > state.best:
        state.best, state.best_step, state.waited = mean_iou, state.step, 0
        return True
    state.waited += not again
    return False


def stopped_words(state: TrainState) -> str | None:
    """In a line why a run ended before `max_steps`, and which step was the best; None where it did not."""
    if state.step >= state.settings.max_steps:
        return None
    return (
        f"stopped at step {state.step} of {state.settings.max_steps}: no better mean IoU in {state.waited}"
        f" validations (early_stop={state.settings.early_stop}); the best was {100 * state.best:.1f} %"
        f" at step {state.best_step}, best.ckpt"
    )
