"""What `segtrain` does with a composed config."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segtrain.commands.build import build_crf, count_parameters, read_checkpoint, saved_config
from segtrain.commands.evaluate import Validation
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.sanity_check import check_groups, rehearse
from segtrain.config.instantiate import instantiate
from segtrain.data.checks.check import check_start
from segtrain.data.checks.frequencies import class_frequencies, median_frequency_weights
from segtrain.distributed import process_group
from segtrain.distributed.signals import StopSignals
from segtrain.engine import checkpoint
from segtrain.engine.device import Compute, choose, keep_freed_memory
from segtrain.engine.loader import Augmented
from segtrain.engine.state import Run, Settings, freeze_norms
from segtrain.engine.train import fit
from segtrain.errors import InputError
from segtrain.loggers.run_log import RunLog, evaluation_table, table
from segtrain.losses.cross_entropy import CrossEntropy

NOT_COMPARED = ("log_every", "val_every", "checkpoint_every", "num_workers", "compile", "deterministic")


def train(config: dict[str, Any], choices: dict[str, str], folder: Path) -> dict:
    """Trains and validates as `config` says, everything below `folder`; gives the last metrics.

    Args:
        choices: the options that the groups of the config were chosen by, `model: fcn8s`.
    """
    check_groups(config)
    keep_freed_memory()
    torch.manual_seed(config["seed"])
    make_deterministic(config["deterministic"])
    compute = choose(config["device"], str(config["precision"]))
    with process_group.join(compute.device), RunLog(folder, "train", silent=process_group.rank() > 0) as log:
        write_yaml(config, folder / "config.yaml")
        crf = build_crf(config)
        with process_group.first_of_each_machine(compute.device):
            data = instantiate(config["data"], "data")
        check_start(data)
        images = data.train
        if config.get("crops"):
            log.say("looking for objects in every mask, once")
            images = instantiate(config["crops"], "crops", partial=True)(images)
        transforms = instantiate(config["augment"], "augment").values()
        dataset = Augmented(images, transforms, seed=config["seed"])
        run = build_run(config, data, dataset, compute, log)
        continue_run(run, config, log, folder)
        log.go_on_after(run.step)
        describe(run, len(images), len(data.val), log)
        log.say(repeatability(compute.device, config["deterministic"]))

        stop = StopSignals()
        validation = Validation(data, compute, config, log, crf, lambda: process_group.heard(stop.requested))
        with refusing_by_name(config):
            metrics = fit(run, dataset, log, validation, stop)
        log.say(evaluation_table(metrics))
        log.hyperparameters(hyperparameters(config, choices), {"hparam/mean_iou": metrics["mean_iou"] or 0.0})
        say_where(log, folder)
    return metrics | {"parameters": count_parameters(run.model), "seconds_per_step": run.seconds_per_step}


def build_run(config: dict[str, Any], data, dataset: Augmented, compute: Compute, log: RunLog) -> Run:
    """The model on its device, its loss, optimizer and schedule; what a first step would fail at is
    told before anything is counted."""
    model, loss = instantiate(config["model"], "model").train(), instantiate(config["loss"], "loss")
    if config["freeze_norm"]:
        freeze_norms(model)
    model = model.to(compute.device, memory_format=torch.channels_last)
    rehearse(model, loss, config["batch_size"], dataset, len(data.class_names), compute)
    if config["compile"]:
        model.compile()
    meta = {
        "config": saved_config(config) | {"loss": config["loss"]},
        "class_names": list(data.class_names),
        "palette": [list(colour) for colour in data.palette],
    }
    settings = Settings(**{name: config[name] for name in Settings.__dataclass_fields__})
    return Run(
        model=model,
        loss=balanced(loss, data, log),
        optimizer=instantiate(config["optimizer"], "optimizer", partial=True)(model),
        schedule=instantiate(config["schedule"], "schedule"),
        compute=compute,
        settings=settings,
        meta=meta,
    )


def balanced(loss: nn.Module, data, log: RunLog) -> nn.Module:
    """The loss; median-frequency weights are computed from the training split's whole images."""
    names = data.class_names
    if not isinstance(loss, CrossEntropy):
        return loss
    if loss.wants_frequencies:
        log.say("counting every class's pixels, once")
        weights = median_frequency_weights(class_frequencies(data.train, len(names)))
        loss.balance(weights)
        rounded = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True))
        log.say(f"class weights: {rounded}")
    loss.check(len(names))
    return loss


def continue_run(run: Run, config: dict[str, Any], log: RunLog, folder: Path) -> None:
    """Takes the weights of `init_from`, or the whole state of `resume`."""
    if config["init_from"]:
        result = checkpoint.initialise(run.model, read_checkpoint(config["init_from"]).weights())
        if not result.loaded:
            raise InputError(f"init_from={config['init_from']}: no tensor fits this model", do="give another")
        parts = Counter(name.split(".")[0] for name in result.loaded)
        loaded = ", ".join(f"{part} ({count} tensors)" for part, count in parts.items())
        log.say(f"init_from {config['init_from']}")
        log.say(f"  loaded: {loaded}")
        log.say(f"  new: {', '.join(result.new) or 'nothing'}")
        log.say(f"  left out: {', '.join(result.unused) or 'nothing'}")
    source = find_resume(config["resume"], folder)
    checkpoint.tidy(folder / "checkpoints")
    if source is not None:
        checkpoint.tidy(source if source.is_dir() else source.parent)
        saved = checkpoint.load_newest(source, log.say) if source.is_dir() else checkpoint.load(source)
        try:
            run.restore(saved)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"resume={source}: made by another model or optimizer", do="resume with the same config"
            ) from error
        log.say(f"resumed {source} at step {run.step}")


def find_resume(resume: str | None, folder: Path) -> Path | None:
    """The checkpoint, or folder of checkpoints, that `resume` means; None to start anew."""
    if resume is None:
        return None
    if resume != "auto":
        path = Path(resume).expanduser()
        return path / "checkpoints" if (path / "checkpoints").is_dir() else path
    beside = sorted(folder.parent.glob("*/checkpoints"), key=lambda p: p.stat().st_mtime, reverse=True)
    candidates = [folder / "checkpoints", *beside]
    names = (checkpoint.LAST, checkpoint.PREVIOUS)
    return next((c for c in candidates if any((c / name).is_file() for name in names)), None)


def describe(run: Run, size: int, validation_size: int, log: RunLog) -> None:
    """What is about to be trained, on how many images, and at which rates."""
    settings = run.settings
    images = settings.batch_size * settings.accumulate * process_group.world_size()
    log.say(
        f"{count_parameters(run.model):,} parameters · {size} images to train on, {validation_size} to"
        f" validate · {settings.max_steps} steps of {images} = {settings.max_steps * images / size:.1f}"
        f" epochs · {run.compute.device}, {run.compute.precision}"
    )
    groups = table("", "parameter group", "parameters", "learning rate", "decay")
    for group in run.optimizer.param_groups:
        count = sum(p.numel() for p in group["params"])
        groups.add_row(group["name"], f"{count:,}", f"{group['base_lr']:.2e}", f"{group['weight_decay']:g}")
    log.say(groups)


def make_deterministic(wanted: bool) -> None:
    """Before CUDA starts: cuBLAS reads its variable only then."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if wanted != torch.are_deterministic_algorithms_enabled():  # the call costs seconds: it imports inductor
        torch.use_deterministic_algorithms(wanted)


@contextmanager
def refusing_by_name(config: dict[str, Any]) -> Iterator[None]:
    """Turns torch's refusal of an operation into an InputError that names the setting."""
    try:
        yield
    except RuntimeError as error:
        refused = re.match(r"(\S+) does not have a deterministic implementation", str(error))
        if not refused:
            raise
        raise InputError(
            f"deterministic=true: torch's {refused[1]} has no fixed order on device={config['device']}",
            do="use device=cpu, or deterministic=false",
        ) from error


def repeatability(device: torch.device, deterministic: bool) -> str:
    """What another run of the same command will have in common with this one."""
    threads = f"{torch.get_num_threads()} threads"
    if deterministic:
        return f"deterministic: the same weights again on such a machine with {threads}"
    if device.type == "cpu":
        return f"repeatable on such a machine with {threads}; another number adds up in another order"
    return (
        "not deterministic: cuDNN's choice of convolutions, and sums whose order varies (the backward pass of"
        " upsampling and of pooling, the loss's gradient); deterministic=true refuses those"
    )


def hyperparameters(config: dict[str, Any], choices: dict[str, str]) -> dict[str, Any]:
    """A run's row in TensorBoard's table: the options chosen, the optimizer's and the loop's numbers."""
    numbers = {f"optimizer.{k}": v for k, v in config["optimizer"].items()} | config
    row = {k: v for k, v in numbers.items() if isinstance(v, bool | int | float) and k not in NOT_COMPARED}
    return choices | row


def say_where(log: RunLog, folder: Path) -> None:
    """The commands that go on from here."""
    best = f"{relative(folder)}/checkpoints/{checkpoint.BEST}"
    log.say(f"curves and images:  tensorboard --logdir {relative(folder.parent)}")
    log.say(f"evaluate with CRF:    segeval ckpt={best} crf=true")
