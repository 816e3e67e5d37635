"""A run resumed at each of its steps, into its own folder, with other numbers of loaders."""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from unittest import mock

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.stress._command import TINY
from scripts.stress.kill import logged, same
from segtrain.commands.train import run_training as train
from segtrain.config.compose import compose_config, plain
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint import BEST, LAST, load

PROMISE = (
    "Exact resume from every step, with augmentation, EMA, accumulation, dropout, a schedule, any loaders"
)
FULL, SAMPLE = 39, 1
STEPS = 40
RUN = [*TINY, f"max_steps={STEPS}", "augment=scale_crop", "augment.crop.height=32"]
RUN += ["augment.crop.width=32", "accumulate=2", "ema=0.9", "log_every=3", "val_every=8"]
RUN += ["checkpoint_every=1", "schedule=poly", "model.batch_norm=true"]
LOADERS = list(product((0, 1, 2), (0, 1, 2)))  # saved with, resumed with


def run(count: int, seed: int, folder: Path) -> str:
    steps = [1 + (seed + i * (STEPS - 1) // count) % (STEPS - 1) for i in range(count)]
    pairs = [LOADERS[(i * 4 + seed) % len(LOADERS)] for i in range(count)]
    for workers in sorted({saved for saved, _ in pairs}):
        whole = folder / f"whole{workers}"
        with keeping_every_step(whole):
            quietly([f"seed={seed}", f"num_workers={workers}"], whole)
    for step, (saved, resumed) in zip(steps, pairs, strict=True):
        case = f"resumed at step {step}, {saved} loaders, then {resumed}, seed {seed}"
        whole, here = folder / f"whole{saved}", folder / "resumed"
        shutil.copytree(whole, here)
        shutil.copy(whole / f"steps/{step}.ckpt", here / "checkpoints" / LAST)
        quietly([f"seed={seed}", f"num_workers={resumed}", f"resume={here}"], here)
        compare(here, whole, case)
        shutil.rmtree(here)
    return f"{count} of {count} steps of a {STEPS}-step run: weights, optimizer, best score and logs equal"


@contextlib.contextmanager
def keeping_every_step(folder: Path) -> Iterator[None]:
    """While entered, every last.ckpt stays as `steps/N.ckpt` too."""
    save = checkpoint.save

    def keep(saved: checkpoint.Checkpoint, path: Path, **options) -> None:
        save(saved, path, **options)
        if path.name == LAST:
            (folder / "steps").mkdir(exist_ok=True)
            shutil.copy(path, folder / f"steps/{saved.meta['step']}.ckpt")

    with mock.patch.object(checkpoint, "save", keep):
        yield


def quietly(overrides: list[str], folder: Path) -> None:
    config = plain(compose_config("train", [*RUN, *overrides]))
    for key in ("experiment", "replay"):
        config.pop(key, None)
    with contextlib.redirect_stdout(io.StringIO()):
        train(config, {}, folder)


def compare(here: Path, whole: Path, case: str) -> None:
    last, wanted = load(here / "checkpoints" / LAST), load(whole / "checkpoints" / LAST)
    same(last.tensors, wanted.tensors, case)
    for key in ("step", "best", "losses"):
        assert last.meta[key] == wanted.meta[key], f"{key} {last.meta[key]}, not {wanted.meta[key]}: {case}"
    same(load(here / "checkpoints" / BEST).tensors, load(whole / "checkpoints" / BEST).tensors, case)
    lines, wanted_lines = logged(here), logged(whole)
    assert lines == wanted_lines, (
        f"metrics.jsonl {json.dumps(lines)}\nis not {json.dumps(wanted_lines)}: {case}"
    )
    curves, wanted_curves = scalars(here), scalars(whole)
    assert curves == wanted_curves, f"TensorBoard has {curves}, not {wanted_curves}: {case}"


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """TensorBoard's curves that are no times, as its reader gives them."""
    events = EventAccumulator(str(folder)).Reload()
    tags = (tag for tag in events.Tags()["scalars"] if tag.startswith(("train/l", "val/", "iou/")))
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}
