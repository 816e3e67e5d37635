"""What `segtrain` and `segeval` do with a composed config."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from segtrain.cli.build import build_crf, read_checkpoint, restore_model, saved_config
from segtrain.cli.construct import construct
from segtrain.data.frequencies import class_frequencies, median_frequency_weights
from segtrain.data.sample import Sample
from segtrain.engine import checkpoint, distributed
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute, choose, keep_freed_memory
from segtrain.engine.evaluate import Predict, evaluate
from segtrain.engine.evaluate import Settings as EvaluationSettings
from segtrain.engine.loader import Augmented
from segtrain.engine.logging import FIGURES, RunLog, evaluation_table, percent, table
from segtrain.engine.pictures import strip
from segtrain.engine.predict import Ensemble, Predictor, evaluating
from segtrain.engine.train import Run, Settings, fit, freeze_norms
from segtrain.errors import InputError
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.metrics.neurites import Neurites

NOT_COMPARED = ("log_every", "val_every", "checkpoint_every", "num_workers", "compile", "deterministic")
EXTRA_METRICS = {"neurites": Neurites}
PICTURES = 4  # validation pictures that TensorBoard shows


def train(config: dict[str, Any], choices: dict[str, str], folder: Path) -> dict:
    """Trains and validates as `config` says, everything below `folder`; gives the last figures.

    Args:
        choices: the options that the groups of the config were chosen by, `model: fcn8s`.
    """
    keep_freed_memory()
    torch.manual_seed(config["seed"])
    torch.use_deterministic_algorithms(config["deterministic"])
    compute = choose(config["device"], str(config["precision"]))
    with distributed.group(compute.device), RunLog(folder, "train", silent=distributed.rank() > 0) as log:
        write_yaml(config, folder / "config.yaml")
        crf = build_crf(config)
        data = construct(config["data"], "data")
        pictures = data.train
        if config.get("crops"):
            log.say("looking for objects in every mask, once")
            pictures = construct(config["crops"], "crops", partial=True)(pictures)
        run = build_run(config, data, compute, log)
        continue_run(run, config, log, folder)
        describe(run, len(pictures), len(data.val), log)

        transforms = construct(config["augment"], "augment").values()
        dataset = Augmented(pictures, transforms, seed=config["seed"])
        figures = fit(run, dataset, log, Validation(data, compute, config, log, crf))
        log.say(evaluation_table(figures))
        log.hyperparameters(hyperparameters(config, choices), {"hparam/mean_iou": figures["mean_iou"] or 0.0})
        say_where(log, folder)
    return figures | {"parameters": count_parameters(run.model), "seconds_per_step": run.seconds_per_step}


def evaluate_checkpoints(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> dict:
    """Evaluates a checkpoint's model, or an ensemble of several, on the validation split.

    Args:
        configs: of each checkpoint, with the user's keys on top; the data set, the CRF and the
            switches are the first one's.
    """
    config = configs[0]
    compute = choose(config["device"], str(config["precision"]))
    with distributed.group(compute.device), RunLog(folder, "eval", silent=distributed.rank() > 0) as log:
        write_yaml(config, folder / "config.yaml")
        crf = build_crf(config)
        data = construct(config["data"], "data")
        members, parameters = [], 0
        for node, checkpointed in zip(configs, saved, strict=True):
            model = restore_model(node["model"], checkpointed)
            model = model.to(compute.device, memory_format=torch.channels_last)
            parameters += count_parameters(model)
            members.append(Predictor(model, construct(node["inference"], "inference"), compute))
        predict = members[0] if len(members) == 1 else Ensemble(members, config["ensemble"])
        validation = Validation(data, compute, config, log, crf)
        figures = validation.of(predict, saved[0].meta["step"])
        log.say(evaluation_table(figures))
        log.say(f"figures: {relative(folder)}/metrics.json")
    return figures | {"parameters": parameters}


class Validation:
    """Evaluates on the validation split, logs the figures and a few pictures of them.

    The CRF, where there is one, takes part in the run's last validation only: it may take longer
    than the network.
    """

    def __init__(self, data, compute: Compute, config: dict[str, Any], log: RunLog, crf: partial | None):
        self.data, self.compute, self.log, self.crf = data, compute, log, crf
        self.inference = construct(config["inference"], "inference")
        self.last_step = config.get("max_steps")
        self.settings = EvaluationSettings(config["batch_size"], config["num_workers"])

    def __call__(self, model: nn.Module, step: int) -> dict:
        with evaluating(model):
            return self.of(Predictor(model, self.inference, self.compute), step)

    def of(self, predict: Predict, step: int) -> dict:
        """The figures of whatever predicts, a model or an ensemble."""
        crf = self.crf if self.last_step in (None, step) else None

        def show(index: int, sample: Sample, *labels) -> None:
            if index < PICTURES:
                picture = strip(sample, *labels, self.data.palette)
                self.log.picture(step, f"val/{index}_{sample.name}", picture)

        extra = [EXTRA_METRICS[name]() for name in getattr(self.data, "extra_metrics", ())]
        with self.log.progress("evaluating", len(self.data.val)) as advance:
            figures = evaluate(
                predict,
                self.data.val,
                self.data.class_names,
                self.compute.device,
                self.settings,
                crf=crf,
                extra=extra,
                watch=show,
                advance=advance,
            )
        self.log.evaluation(step, figures, self.data.class_names)
        self.log.say(f"step {step}: {summary(figures)}")
        return figures


def build_run(config: dict[str, Any], data, compute: Compute, log: RunLog) -> Run:
    """The model on its device, its loss, optimizer and schedule."""
    model = construct(config["model"], "model")
    model = model.to(compute.device, memory_format=torch.channels_last)
    if config["freeze_norm"]:
        freeze_norms(model)
    if config["compile"]:
        model.compile()
    meta = {
        "config": saved_config(config),
        "class_names": list(data.class_names),
        "palette": [list(colour) for colour in data.palette],
    }
    settings = Settings(**{name: config[name] for name in Settings.__dataclass_fields__})
    return Run(
        model=model,
        loss=build_loss(config, data, log),
        optimizer=construct(config["optimizer"], "optimizer", partial=True)(model),
        schedule=construct(config["schedule"], "schedule"),
        compute=compute,
        settings=settings,
        meta=meta,
    )


def build_loss(config: dict[str, Any], data, log: RunLog) -> nn.Module:
    """The loss; median-frequency weights are computed from the training split's whole pictures."""
    loss, names = construct(config["loss"], "loss"), data.class_names
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
    if source is not None:
        saved = checkpoint.load_newest(source, log.say) if source.is_dir() else checkpoint.load(source)
        try:
            run.restore(saved)
        except (RuntimeError, KeyError) as error:
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
    """What is about to be trained, on how many pictures, and at which rates."""
    settings = run.settings
    pictures = settings.batch_size * settings.accumulate * distributed.world_size()
    log.say(
        f"{count_parameters(run.model):,} parameters · {size} pictures to train on, {validation_size} to"
        f" validate · {settings.max_steps} steps of {pictures} = {settings.max_steps * pictures / size:.1f}"
        f" epochs · {run.compute.device}, {run.compute.precision}"
    )
    groups = table("", "parameter group", "parameters", "learning rate", "decay")
    for group in run.optimizer.param_groups:
        count = sum(p.numel() for p in group["params"])
        groups.add_row(group["name"], f"{count:,}", f"{group['base_lr']:.2e}", f"{group['weight_decay']:g}")
    log.say(groups)


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def summary(figures: dict) -> str:
    """The four figures in a line, with and without the CRF."""

    def line(values: dict) -> str:
        return ", ".join(f"{label} {percent(values[key])}" for key, label in FIGURES.items())

    if "without_crf" in figures:
        return f"without CRF {line(figures['without_crf'])}; with CRF {line(figures)}"
    return line(figures)


def hyperparameters(config: dict[str, Any], choices: dict[str, str]) -> dict[str, Any]:
    """A run's row in TensorBoard's table: the options chosen, the optimizer's and the loop's numbers."""
    numbers = {f"optimizer.{k}": v for k, v in config["optimizer"].items()} | config
    row = {k: v for k, v in numbers.items() if isinstance(v, bool | int | float) and k not in NOT_COMPARED}
    return choices | row


def write_yaml(config: dict[str, Any], path: Path) -> None:
    if distributed.rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(config, sort_keys=False))


def relative(path: Path) -> str:
    """The path as one would type it: from the working directory if it lies below, else in full."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def say_where(log: RunLog, folder: Path) -> None:
    """The commands that go on from here."""
    best = f"{relative(folder)}/checkpoints/{checkpoint.BEST}"
    log.say(f"curves and pictures:  tensorboard --logdir {relative(folder.parent)}")
    log.say(f"evaluate with CRF:    segeval ckpt={best} crf=true")
