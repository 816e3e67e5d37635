"""What `segtrain replay=PATH` does: the step that was not finite is run again, layer by layer."""

import torch

from segtrain.commands.build import build_loss, restore_model
from segtrain.config.compose import check_trust, offline
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint_schema import REPLAYED, check_keys
from segtrain.engine.device import choose
from segtrain.engine.freezing import hold_frozen
from segtrain.engine.replay import first_not_finite, kept_batches
from segtrain.engine.state import freeze_norms
from segtrain.errors import InputError, shorten
from segtrain.files import user_path
from segtrain.progress import Terminal


def replay(path: str, device: str, precision: str, trust: str | None) -> None:
    """Prints which layer's output was the first that was not finite.

    Args:
        path: a diverged.ckpt.
        precision: auto is the run's own, where the device has it.
        trust: a package outside segtrain whose classes the file may name.

    Raises:
        InputError: not a diverged.ckpt, or one that names other code.
    """
    saved = checkpoint.load(user_path(path))
    if "at" not in saved.meta:
        raise InputError(f"replay={path}: not of a step that diverged", do="give a diverged.ckpt")
    check_keys(saved.meta, REPLAYED, path)
    at, config = saved.meta["at"], saved.meta["config"]
    batches = kept_batches(saved, len(saved.meta["class_names"]))
    check_trust(config, "config", trust)
    own = saved.meta["precision"] if precision == "auto" else precision
    compute = choose(device, "auto" if own == "16" and not torch.cuda.is_available() else own)
    model = restore_model(offline(config["model"]), saved._replace(tensors=_weights(saved)))
    model = model.to(compute.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    if saved.meta["freeze_norm"]:
        freeze_norms(model)
    hold_frozen(model, saved.meta.get("freeze", ()))
    loss = build_loss(config)
    loss.set_progress(saved.meta["progress"])
    if saved.meta["class_weights"] is not None:
        loss.balance(saved.meta["class_weights"])
    try:
        found = first_not_finite(model, loss, batches, compute, seed=at["seed"])
    except (RuntimeError, ValueError, IndexError) as error:  # what torch says of images of another kind
        reason = shorten(error, 150)
        raise InputError(
            f"replay={path}: its step cannot be run again ({reason})", do="give another"
        ) from error
    say = Terminal(soft_wrap=True, highlight=False).print
    rate, value = at["learning_rate"], shorten(at["loss"])
    say(f"step {at['step']}, learning rate {rate:.3g}, loss {value}", markup=False)
    say(f"on {compute.device}, {compute.precision}: {found}", markup=False)


def _weights(saved: checkpoint.Checkpoint) -> dict:
    """The model's own: its running average took no part in the step."""
    return {name: tensor for name, tensor in saved.tensors.items() if name.startswith("model.")}
