"""`batch_size=auto`: the largest batch that fits into the memory, found by steps on random images."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from segtrain.commands.build_training import build_trainable
from segtrain.config.compose import offline
from segtrain.config.instantiate import REFUSALS, instantiate
from segtrain.distributed import process_group
from segtrain.engine.device import Compute
from segtrain.engine.loader import Augmented, Batch
from segtrain.engine.memory import available_memory, forget_peak, peak_memory
from segtrain.engine.state import TrainSettings, TrainState
from segtrain.engine.step import train_step
from segtrain.errors import DivergedError, InputError, SegtrainError

LARGEST = {"cuda": 256, "cpu": 32}  # a CPU is no faster with more
EPOCH = 4  # steps of an epoch at least
LOOKED_AT = 8  # samples whose largest size counts
STEPS = 2  # of a dry run: from the second on there is the optimizer's state
SHARE = {"cuda": 0.9, "cpu": 0.5}  # of the memory: validations and other programs take some


def find_batch_size(
    config: dict[str, Any], dataset: Augmented, classes: int, compute: Compute, say: Callable[[str], None]
) -> int:
    """Takes real steps (forward, backward, optimizer) with more and more images until they fit no more; on a
    CPU, which would end the process, from how much memory 2 and 4 images take.

    Args:
        config: of the training.
        dataset: of the training split; the largest of eight samples decides the size.
        classes: of the data.
        say: gets a line that says what was chosen, and why not more.

    Returns:
        Images a batch: at most a quarter of the split, 256 on a GPU and 32 on a CPU. torch's random state is
        as before.

    Raises:
        InputError: not one image fits, there are several processes, or nobody knows the device's memory.
    """
    kind = compute.device.type
    if process_group.world_size() > 1:
        raise InputError("batch_size=auto: one process searches", do="find it with one, then give the number")
    if kind not in LARGEST or (kind == "cpu" and available_memory() is None):
        raise InputError(f"batch_size=auto: nobody knows the memory of {kind} here", do="give a number")
    most = max(1, min(LARGEST[kind], len(dataset) // EPOCH))
    devices = [compute.device] if kind == "cuda" else []
    with torch.random.fork_rng(devices=devices), TemporaryDirectory() as folder:
        dry_run = DryRun(config, dataset, classes, compute, Path(folder))
        chosen = _search(dry_run.fits, most) if kind == "cuda" else _estimate(dry_run, most)
        del dry_run
    gc.collect()
    if kind == "cuda":
        torch.cuda.empty_cache()
    if chosen is None:
        what = f"batch_size=auto: no step of even one image fits into the memory of {compute.device}"
        raise InputError(what, do="take a smaller crop (augment=crop), a smaller model, or precision=bf16")
    limit = f"an epoch of {len(dataset)} images should have {EPOCH} steps"
    limit = limit if most < LARGEST[kind] else f"more than {most} make it no faster"
    why = limit if chosen == most else "more do not fit"
    say(f"batch_size={chosen}: chosen by steps of this model on {compute.device}, {why}")
    return chosen


class DryRun:
    """A network, loss and optimizer as the run's, for steps of any number of images."""

    def __init__(
        self, config: dict[str, Any], dataset: Augmented, classes: int, compute: Compute, folder: Path
    ):
        self.compute, self.classes, self.folder = compute, classes, folder
        samples = [dataset[0, i * len(dataset) // LOOKED_AT] for i in range(min(LOOKED_AT, len(dataset)))]
        good = []
        for sample in samples:
            if isinstance(sample, SegtrainError):
                raise sample
            good.append(sample)
        self.size = tuple(max(sample.mask.shape[axis] for sample in good) for axis in (0, 1))
        self.channels, self.maps = good[0].input.channels, good[0].mask.shape[2:]
        self.dtype = torch.uint8 if good[0].input.dtype == "uint8" else torch.float32
        model, loss = build_trainable(config, offline(config["model"]), dataset, compute)
        if loss.wants_frequencies:  # which are counted later
            loss.balance([1.0] * classes)
        given = {name: config[name] for name in TrainSettings.__dataclass_fields__}
        given |= {"batch_size": 1, "max_steps": 1, "num_workers": 0}
        self.state = TrainState(
            model=model,
            loss=loss,
            optimizer=instantiate(config["optimizer"], "optimizer", partial=True)(model),
            schedule=lambda step, max_steps: 1.0,
            compute=compute,
            settings=TrainSettings(**given),
            meta={},
        )

    def steps(self, images: int) -> None:
        """Takes two steps of so many images; the loss may be anything."""
        for _ in range(STEPS):
            try:
                train_step(self.state, [self._batch(images)], self.folder)
            except DivergedError:
                self.state.optimizer.zero_grad(set_to_none=True)

    def fits(self, images: int) -> bool:
        """Whether a GPU has the memory for a step of so many images, and some to spare."""
        device = self.compute.device
        gc.collect()
        torch.cuda.empty_cache()
        room = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        torch.cuda.reset_peak_memory_stats(device)
        try:
            self.steps(images)
        except REFUSALS as error:  # out of memory is a RuntimeError; BatchNorm refuses a single value
            self.state.optimizer.zero_grad(set_to_none=True)
            if images > 1 and not isinstance(error, torch.OutOfMemoryError):
                raise
            return False
        return torch.cuda.max_memory_reserved(device) <= SHARE["cuda"] * room

    def _batch(self, images: int) -> Batch:
        generator = torch.Generator().manual_seed(0)
        shape = (images, *self.size, self.channels)
        pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(self.dtype)
        top = 2 if self.maps else self.classes
        masks = torch.randint(0, top, (images, *self.maps, *self.size), generator=generator)
        return pixels.permute(0, 3, 1, 2), masks.to(torch.uint8), [""] * images


def _search(fits: Callable[[int], bool], most: int) -> int | None:
    """The largest number up to `most` that fits: doubled until one does not, then halved between the two,
    to an eighth of it. None where 1 does not."""
    good, bad = 0, most + 1
    step = min(2, most)
    while good < most and bad > most:
        if fits(step):
            good, step = step, min(2 * step, most)
        else:
            bad = step
    while bad - good > max(1, good // 8):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good or None


def _estimate(dry_run: DryRun, most: int) -> int | None:
    """How many images fit by the memory that steps of 2 and of 4 take."""
    few, more = min(2, most), min(4, most)
    peaks = []
    for images in (few, more):
        forget_peak()
        dry_run.steps(images)
        peaks.append(peak_memory())
    of_an_image = (peaks[1] - peaks[0]) / max(1, more - few)
    left = SHARE["cpu"] * (available_memory() or 0)
    return most if of_an_image <= 0 else max(1, min(most, more + int(left / of_an_image)))
