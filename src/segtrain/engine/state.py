"""The state of a training run: model, loss, optimizer and schedule, and all that a checkpoint restores."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from segtrain.contracts import ReactsToMetric, Schedule
from segtrain.distributed import process_group
from segtrain.engine import checkpoint
from segtrain.engine.averaging import RunningAverage
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.checkpoint_schema import RESUMED, check_keys
from segtrain.engine.device import Compute
from segtrain.errors import InputError
from segtrain.losses.composite import CompositeLoss


@dataclass(frozen=True)
class TrainSettings:
    """The scalars of a training run, by their names at the root of `segtrain`."""

    seed: int
    max_steps: int
    batch_size: int
    accumulate: int
    clip_norm: float
    ema: float
    freeze: list[str]
    freeze_norm: bool
    val_every: int
    checkpoint_every: int
    log_every: int
    num_workers: int
    early_stop: int | None = 0
    keep_last: int = 0


@dataclass
class TrainState:
    """All that a checkpoint restores, and what the training loop needs beside it.

    Attributes:
        meta: goes into every checkpoint (config, classes); `run_meta`: into those that a run resumes from.
        step: optimizer steps that were taken.
        best: the best validation mean IoU; `best_step`: its step; `waited`: validations since then.
        validated: the step of the last validation.
        validation_pending: this step's validation was stopped by a signal, or the run was resumed at its end.
        losses: of the steps that are not logged yet; each has the value of every term.
        step_seconds: of a step, each time that it was logged.
        averaged: the running average of the weights (`ema`).
        wrapped: the model whose backward pass averages gradients over ranks.
    """

    model: nn.Module
    loss: CompositeLoss
    optimizer: Optimizer
    schedule: Schedule
    compute: Compute
    settings: TrainSettings
    meta: dict[str, Any]
    run_meta: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    best: float = -1.0
    best_step: int = 0
    waited: int = 0
    validated: int = -1
    validation_pending: bool = False
    losses: list[list[float]] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    averaged: RunningAverage | None = None
    scaler: torch.amp.GradScaler = field(init=False)
    wrapped: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        if self.settings.ema and self.averaged is None:
            self.averaged = RunningAverage(self.model, self.settings.ema)
        self.scaler = torch.amp.GradScaler(self.compute.device.type, enabled=self.compute.precision == "16")
        self.wrapped = process_group.wrap(self.model, some_outputs=self.loss.output_names == {"out"})

    @property
    def seconds_per_step(self) -> float | None:
        """The median of what was logged, so that other work on the machine at one time says little."""
        return statistics.median(self.step_seconds) if self.step_seconds else None

    @property
    def evaluated(self) -> nn.Module:
        """The model to validate: the running average where there is one."""
        return self.averaged.module if self.averaged else self.model

    @property
    def batch(self) -> dict[str, Any]:
        """How many images a step has; how many BatchNorm takes statistics of, and how often in a step."""
        settings, ranks = self.settings, process_group.world_size()
        images = settings.batch_size * (ranks if process_group.synchronises_norms(self.model) else 1)
        trains = not settings.freeze_norm and any(map(is_batch_norm, self.model.modules()))
        return {
            "images": settings.batch_size * settings.accumulate * ranks,
            "statistics": [images, settings.accumulate] if trains else None,
        }

    def checkpoint(self, *, weights_only: bool = False) -> Checkpoint:
        """Everything that `restore` needs; or the weights alone, for evaluation."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.averaged:
            tensors |= {f"ema.{k}": v for k, v in self.averaged.module.state_dict().items()}
        if not weights_only:
            state = checkpoint.optimizer_tensors(self.optimizer)
            tensors |= {f"optimizer.{k}": v for k, v in state.items()}
        own = {"step": self.step, "best": self.best, "losses": self.losses, "batch": self.batch}
        own |= {"best_step": self.best_step, "waited": self.waited, "validated": self.validated}
        own |= {"validation_pending": self.validation_pending, "scaler": self.scaler.state_dict()}
        if not weights_only:
            own |= {"lr": self.optimizer.param_groups[0]["lr"]} | self.run_meta
        if isinstance(self.schedule, ReactsToMetric):
            own["schedule"] = self.schedule.state()
        return Checkpoint(tensors, self.meta | own)

    def restore(self, saved: Checkpoint) -> None:
        """Restores the state in which `saved` was made.

        Raises:
            InputError: a step would have another number of images, or it was made by another optimizer or
                model.
        """
        check_keys(saved.meta, RESUMED, "resume")
        self._check_batch(saved.meta.get("batch", self.batch))
        self.model.load_state_dict(saved.part("model"))
        checkpoint.load_optimizer(self.optimizer, saved.part("optimizer"))
        if self.averaged:
            self.averaged.module.load_state_dict(saved.part("ema") or saved.part("model"))
        if saved.meta["scaler"]:  # else the run was in another precision
            self.scaler.load_state_dict(saved.meta["scaler"])
        self.step, self.best = saved.meta["step"], saved.meta["best"]
        self.best_step, self.waited = saved.meta.get("best_step", 0), saved.meta.get("waited", 0)
        self.validated = saved.meta.get("validated", -1)
        if isinstance(self.schedule, ReactsToMetric) and "schedule" in saved.meta:
            self.schedule.restore(saved.meta["schedule"])
        # Of a loss with other terms they would not add up.
        losses, terms = saved.meta.get("losses", ()), len(self.loss.names)
        self.losses = [values for values in losses if len(values) == terms]
        self.validation_pending = saved.meta.get("validation_pending", False)

    def _check_batch(self, before: dict[str, Any]) -> None:
        settings, ranks, now = self.settings, process_group.world_size(), self.batch
        here = f"batch_size={settings.batch_size} × accumulate={settings.accumulate} × {ranks} process"
        here += "es" if ranks > 1 else ""
        if before["images"] != now["images"]:
            raise InputError(
                f"resume: a step must have {before['images']} images as before, got {now['images']} ({here})",
                do=f"make them {before['images']} again, or start a new run with init_from=",
            )
        if before["statistics"] and now["statistics"] and before["statistics"] != now["statistics"]:
            images, times = before["statistics"]
            raise InputError(
                f"resume: BatchNorm took statistics of {images} images {times} × a step and process,"
                f" with {here} of {now['statistics'][0]} images {now['statistics'][1]} ×",
                do="use batch_size, accumulate and the number of processes of before, or freeze_norm=true",
            )


def freeze_norms(model: nn.Module) -> None:
    """Makes every BatchNorm use its running statistics and keep its scale and shift, as Caffe's
    `use_global_stats` with rate 0 (DeepLab v2), until the model is put into training mode again."""
    for module in model.modules():
        if is_batch_norm(module):
            module.eval().requires_grad_(False)


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a module is BatchNorm, in any number of dimensions."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)
