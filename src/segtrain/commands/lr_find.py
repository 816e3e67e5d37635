"""`lr_find=true`: proposes a learning rate, and trains nothing."""

from __future__ import annotations

import json

from segtrain.distributed import process_group
from segtrain.engine.loader import Augmented
from segtrain.engine.rate_range import STEPS, RateTest, measure_rates
from segtrain.engine.state import TrainState
from segtrain.errors import InputError
from segtrain.files import write_atomically
from segtrain.loggers.run_log import RunLog
from segtrain.viz.drawing import write_figure
from segtrain.viz.rate_curve import rate_figure

VALUES, CURVE = "lr_find.json", "lr_find.png"
DPI = 110


def find_rate(state: TrainState, dataset: Augmented, base: float, log: RunLog) -> None:
    """Takes up to 100 steps under a rising rate, writes their losses and the curve, and says which rate to
    take. The weights go with the process.

    Args:
        state: is changed.
        dataset: of the training split.
        base: `optimizer.lr`.
        log: of the run; its folder gets `lr_find.json` and `lr_find.png`.

    Raises:
        InputError: not one loss is a number.
        SaveError: the files cannot be written.
    """
    with log.progress("rates", STEPS) as advance:
        found = measure_rates(state, dataset, base, advance)
    if not found.rates:
        raise InputError("lr_find=true: the very first loss is not finite", do="check the data and the loss")
    if process_group.rank() == 0:
        text = json.dumps(found._asdict() | {"optimizer.lr": base}, indent=2)
        write_atomically(log.folder / VALUES, lambda file: file.write(text.encode()))
        title = f"learning-rate range test of {log.title}"
        curve = (found.rates, found.losses, found.smoothed)
        figure = rate_figure(*curve, suggested=found.suggested, now=base, title=title)
        write_figure(figure, log.folder / CURVE, DPI, log.formats)
    how = end_of_curve(found)
    if found.suggested is None:
        log.say(f"no rate is proposed: the loss does not fall ({how}); it stays at optimizer.lr={base:.2g}")
    else:
        log.say(f"optimizer.lr={found.suggested:.2g} is proposed (it is {base:.2g} now)")
        log.say(f"the loss falls fastest there, is lowest at {found.lowest:.2g}, and {how}")
    log.say(f"curve: {log.folder / CURVE}, values: {VALUES}; nothing was trained")


def end_of_curve(found: RateTest) -> str:
    """What the loss does at the highest rates, in words that the curve bears out.

    Example:
        >>> end_of_curve(conclude([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.0, 3.0, 4.0], False))
        'is above its start from 0.01 on'
    """
    if found.diverged:
        return f"diverges at {found.rates[-1]:.2g}"
    start, rates = found.smoothed[0], found.rates
    below = max(i for i, loss in enumerate(found.smoothed) if loss <= start)
    if below < len(rates) - 1:
        return f"is above its start from {rates[below + 1]:.2g} on"
    return f"ends no higher than it began, at {rates[-1]:.2g}"
