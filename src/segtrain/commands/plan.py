"""What a training is about to do, in words."""

from segtrain.commands.build import count_parameters
from segtrain.distributed import process_group
from segtrain.engine.state import TrainState
from segtrain.loggers.run_log import RunLog
from segtrain.viz.tables import table


def show_plan(state: TrainState, size: int, validation_size: int, log: RunLog) -> None:
    """Shows what is about to be trained, on how many images, and at which rates."""
    settings = state.settings
    images = settings.batch_size * settings.accumulate * process_group.world_size()
    log.say(
        f"{count_parameters(state.model):,} parameters · {size} images to train on, {validation_size} to"
        f" validate · {settings.max_steps} steps of {images} = {settings.max_steps * images / size:.1f}"
        f" epochs · {state.compute.device}, {state.compute.precision}"
    )
    groups = table("", "parameter group", "parameters", "learning rate", "decay")
    for group in state.optimizer.param_groups:
        count = sum(p.numel() for p in group["params"])
        groups.add_row(group["name"], f"{count:,}", f"{group['base_lr']:.2e}", f"{group['weight_decay']:g}")
    log.say(groups)
