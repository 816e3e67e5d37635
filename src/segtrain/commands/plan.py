"""What a training is about to do, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segtrain.commands.build import count_parameters
from segtrain.config.recipes import EMBEDDED, recipes_of_model
from segtrain.distributed import process_group
from segtrain.engine.state import TrainState
from segtrain.loggers.run_log import RunLog
from segtrain.papers.contract import TRAINED
from segtrain.papers.paper import recipe_of
from segtrain.viz.tables import table

SHORT = 5  # epochs


def remarks(config: Mapping[str, Any], choices: Mapping[str, Any], epochs: float) -> list[str]:
    """What somebody should know who expects the paper's result of a run, a line each.

    Args:
        config: settled.
        choices: the options of the groups.
        epochs: that the run has.

    Example:
        >>> remarks(config, {"model": "deeplabv1", "data": "voc"}, 1.6)[0]
        'short: 1.6 epochs; under 5 are for trying things out: max_epochs=50'
    """
    if choices.get("data") == EMBEDDED or config.get("debug") or config.get("lr_find"):
        return []
    lines = []
    if epochs < SHORT:
        lines.append(f"short: {epochs:.1f} epochs; under {SHORT} are for trying things out: max_epochs=50")
    key, own = pretrained_key(config["model"], "model"), recipe_of(choices.get("experiment") or "")
    if key and own is None and not config.get("init_from") and not config.get("resume"):
        papers = filter(None, map(recipe_of, recipes_of_model(choices.get("model"))))
        if any(fact[:2] == ("start", TRAINED) for paper in papers for fact in paper.facts):
            lines.append(
                f"from scratch: the paper of {choices.get('model')} began with trained weights: {key}=true"
            )
    return lines


def pretrained_key(node: Any, key: str) -> str | None:
    """The key of pretrained weights that a model could have and has not."""
    if not isinstance(node, dict):
        return None
    if node.get("pretrained") is False:
        return f"{key}.pretrained"
    return next(filter(None, (pretrained_key(value, f"{key}.{name}") for name, value in node.items())), None)


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
