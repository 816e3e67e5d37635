"""`resume=`: the checkpoint that a run goes on from, and what may differ from before."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from segtrain.commands.changes import Change, differences
from segtrain.commands.length import unsettled
from segtrain.commands.made_by import data_change
from segtrain.config.compose import plain
from segtrain.config.instantiate import fits
from segtrain.config.num_classes import fill_num_classes
from segtrain.config.resumed import resume_path, saved_options, with_saved
from segtrain.contracts import Dataset
from segtrain.distributed import process_group
from segtrain.engine import checkpoint
from segtrain.engine.building import BuildingFor
from segtrain.engine.checkpoint_schema import EVALUATED, check_keys
from segtrain.engine.state import TrainState
from segtrain.engine.stopping import stops_early
from segtrain.errors import InputError
from segtrain.files import as_argument, user_path, write_atomically
from segtrain.loggers.run_log import RunLog

# What changes no weight: runs that differ in these alone are one run.
OF_THE_MACHINE = (
    *(
        "resume",
        "replay",
        "trust",
        "device",
        "num_workers",
        "log_every",
        "checkpoint_every",
        "keep_last",
        "logger",
        "plots",
    ),
)
LOOKED_INTO = 32  # images whose content decides whether data elsewhere are the same


def complete_arguments(arguments: list[str]) -> list[str]:
    """A command line with the options of the checkpoint that `resume=PATH` names beside it.

    Raises:
        InputError: no such checkpoint, or one without the state of a training.
    """
    path = resume_path(arguments)
    if path is None:
        return arguments
    config, choices = read_run(path)
    options = saved_options(config, choices, arguments)
    at = next(i for i, a in enumerate(arguments) if a.lstrip("+").startswith("resume="))
    return [*arguments[:at], *options, *arguments[at:]]  # together, or argparse takes no option before


def training_config(composed: Any, overrides: Sequence[str]) -> dict[str, Any]:
    """The config of a training, resolved: with `resume=PATH` the checkpoint's with the user's keys on top.

    Args:
        composed: by Hydra.
        overrides: that it was composed by.

    Raises:
        InputError: as `complete_arguments`; or the checkpoint names other code than segtrain's own.
    """
    if composed.get("resume") in (None, "auto"):
        fill_num_classes(composed)
        return plain(composed)
    return with_saved(composed, overrides, *read_run(str(composed.resume)))


def read_run(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole config and the options of the run that `resume=PATH` means, without its tensors."""
    source = resume_source(path)
    names = (checkpoint.LAST, checkpoint.PREVIOUS) if source.is_dir() else ("",)
    for i, name in enumerate(names):
        try:
            meta = checkpoint.read_meta(source / name)
            run = _run_of(meta, source / name)
            check_keys(meta, EVALUATED, source / name)
            return run
        except InputError:
            if i == len(names) - 1 or not (source / names[i + 1]).is_file():
                raise
    raise AssertionError


def resume_source(path: str) -> Path:
    """The checkpoint, or the folder of checkpoints, of a path. Raises InputError: weights alone."""
    given = user_path(path)
    source = given / "checkpoints" if (given / "checkpoints").is_dir() else given
    if source.is_dir() and not _has_state(source):
        do = f"give another, or start a new run with {as_argument('init_from', path)}"
        raise InputError(f"resume={path}: holds no {checkpoint.LAST}", do=do)
    return source


def _run_of(meta: dict[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    forms = {"config": dict, "training": dict, "choices": dict, "step": int}
    if "training" not in meta:
        last = path.parent / checkpoint.LAST
        instead = (
            f"give {as_argument('resume', last)}"
            if last.is_file() and last != path
            else f"give a {checkpoint.LAST}"
        )
        raise InputError(
            f"resume={path}: holds weights alone, no state of the optimizer",
            do=f"{instead}, or start a new run with {as_argument('init_from', path)}",
        )
    for key, form in forms.items():
        if not fits(meta.get(key), form):
            raise InputError(f"resume={path}: its {key} is missing or of another form", do="give another")
    return {**meta["training"], **meta["config"]}, meta["choices"]


def check_unused(config: Mapping[str, Any], folder: Path) -> None:
    """Raises InputError where the folder holds another run than the one to go on with."""
    own = folder / "checkpoints"
    used = [name for name in (checkpoint.LAST, checkpoint.BEST) if (own / name).is_file()]
    if not used or config["resume"] == "auto":
        return
    if config["resume"] is not None:
        source = resume_source(config["resume"])
        if (source if source.is_dir() else source.parent).resolve() == own.resolve():
            return
    raise InputError(
        f"{folder}: holds another run ({used[0]})",
        do="add resume=auto to go on with it, or choose another hydra.run.dir",
    )


def find_resume(config: Mapping[str, Any], folder: Path, others: Callable[[], Iterable[Path]]) -> Path | None:
    """The checkpoint, or folder of checkpoints, that `resume` means; None for a new run.

    Args:
        folder: of this run.
        others: gives the folders of checkpoints of other runs, of which `auto` takes the newest
            unfinished one of an equal config.
    """
    if config["resume"] is None:
        return None
    if config["resume"] != "auto":
        return resume_source(config["resume"])
    if _has_state(folder / "checkpoints"):
        return folder / "checkpoints"
    found = None
    if process_group.rank() == 0:
        found = newest_unfinished(config, [c for c in others() if c.parent != folder and _has_state(c)])
    return process_group.gathered([found])[0]


def newest_unfinished(config: Mapping[str, Any], candidates: Iterable[Path]) -> Path | None:
    """The newest run of an equal config that has steps left, and that no other run went on from."""
    runs: list[tuple[float, Path]] = []
    continued: set[str] = set()
    ignored = {*OF_THE_MACHINE, *unsettled(config)}
    for folder in candidates:
        try:
            file = next(folder / n for n in (checkpoint.LAST, checkpoint.PREVIOUS) if (folder / n).is_file())
            meta = checkpoint.read_meta(file)
            before, _ = _run_of(meta, file)
            changed = [d for d in differences(before, config) if d.key.split(".")[0] not in ignored]
            continued.add(str(meta.get("resumed_from")))
            steps = config["max_steps"] if config["max_steps"] is not None else before["max_steps"]
            over = meta["step"] >= steps or stops_early(meta.get("waited", 0), config.get("early_stop"))
            unfinished = not over or meta.get("validation_pending")
            if not changed and unfinished:
                runs.append((file.stat().st_mtime, folder))
        except (InputError, OSError, StopIteration, KeyError, TypeError):
            continue
    left = [run for run in runs if str(run[1].resolve()) not in continued]
    return max(left)[1] if left else None


def _has_state(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (checkpoint.LAST, checkpoint.PREVIOUS))


def bounded_by(source: Path | None, config: Mapping[str, Any]) -> AbstractContextManager:
    """While entered, a network that a checkpoint asks for, not the user, is no larger than its file."""
    if source is None:
        return nullcontext()
    files = [source / n for n in (checkpoint.LAST, checkpoint.PREVIOUS)] if source.is_dir() else [source]
    newest = next(file for file in files if file.is_file())
    try:
        own = checkpoint.read_meta(newest)["config"]["model"] == config["model"]
    except (InputError, KeyError):  # damaged, which is said when all of it is read
        return nullcontext()
    return BuildingFor(newest.stat().st_size // 2) if own else nullcontext()  # of half precision at most


def restore(
    state: TrainState, source: Path, config: dict[str, Any], log: RunLog, folder: Path, data: Dataset
) -> None:
    """Restores a run's state and says what differs from before.

    Args:
        source: a checkpoint or a folder of checkpoints.
        folder: of this run, which gets the best.ckpt of before.

    Raises:
        InputError: a damaged checkpoint, or a key that cannot change.
    """
    saved = checkpoint.load_newest(source, log.say) if source.is_dir() else checkpoint.load(source)
    path = source / checkpoint.LAST if source.is_dir() else source
    before, _ = _run_of(saved.meta, path)
    check_keys(saved.meta, EVALUATED, path)
    changed = differences(before, config)
    check_changes(changed, saved.meta, data, path)
    if config["max_steps"] < saved.meta["step"]:
        what = f"resume={path}: max_steps must be at least the {saved.meta['step']} steps taken"
        raise InputError(f"{what}, got {config['max_steps']}", do="nothing is left to train: give more")
    try:
        state.restore(saved)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"resume={path}: made by another model or optimizer", do="resume with the same config"
        ) from error
    if "threshold" in saved.meta:  # that was chosen before: it counts until the next validation
        state.meta["threshold"] = saved.meta["threshold"]
    log.say(f"resumed {source} at step {state.step}")
    say_rate(state, saved.meta.get("lr"), changed, log)
    if other := data_change(saved.meta.get("made_by"), state.meta["made_by"]):
        log.say(f"resume: {other}")
    for difference in changed:
        if difference.key.split(".")[0] not in ("resume", "replay", "trust"):
            log.say(f"resume: {difference}")
    carry_best(state, path.parent, folder / "checkpoints")
    if path.parent.resolve() != (folder / "checkpoints").resolve():
        state.run_meta["resumed_from"] = str(path.parent.resolve())


def check_changes(changed: Sequence[Change], meta: dict[str, Any], data: Dataset, path: Path) -> None:
    """Raises InputError where a key differs that cannot change, with both values."""
    fixed = [difference for difference in changed if difference.is_fixed]
    moved = [difference for difference in changed if difference.key == "data.root"]
    if moved and meta.get("images") not in (None, fingerprint(data)):
        fixed += moved  # a copy elsewhere would do
    if fixed:
        keys = "; ".join(map(str, fixed))
        do = f"leave it as it was, or start a new run with {as_argument('init_from', path)}"
        raise InputError(f"resume={path}: {keys}", do=do)


def say_rate(state: TrainState, before: Any, changed: Sequence[Change], log: RunLog) -> None:
    """Says how the learning rate jumps, where the schedule or the rate is another."""
    decisive = [
        d for d in changed if d.key == "max_steps" or d.key.split(".")[0] in ("schedule", "optimizer")
    ]
    if not decisive or not isinstance(before, float) or state.step >= state.settings.max_steps:
        return
    now = state.optimizer.param_groups[0]["base_lr"] * state.schedule(state.step, state.settings.max_steps)
    if abs(now - before) > 0.05 * before:
        how = "rises again" if now > before else "falls"
        log.say(f"the learning rate {how}, from {before:.3g} at the last step to {now:.3g}")


def carry_best(state: TrainState, source: Path, target: Path) -> None:
    """Copies the best.ckpt of before where a run goes on in another folder; where there is none, or it is
    of a later step, the next validation makes one."""
    best = source / checkpoint.BEST
    try:
        of_before = checkpoint.read_meta(best)["step"] <= state.step
    except (InputError, KeyError, TypeError):
        of_before = False
    own = source.resolve() == target.resolve()
    if not own and of_before and process_group.rank() == 0:
        with open(best, "rb") as file:
            write_atomically(target / checkpoint.BEST, lambda copy: shutil.copyfileobj(file, copy))
    if not of_before and not (own and best.is_file()):
        state.best = -1.0


def fingerprint(data: Dataset) -> str:
    """Changes with the names, sizes and content (of 32 images and masks) of the training split's files,
    not with where they are."""
    split = data.train
    pairs = getattr(split, "pairs", None)  # of splits of files
    if not pairs:
        return str(len(split))
    parts = [[pair.name, pair.image.stat().st_size, pair.mask.stat().st_size] for pair in pairs]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for pair in pairs[:: max(1, len(pairs) // LOOKED_INTO)]:
        digest.update(pair.image.read_bytes())
        digest.update(pair.mask.read_bytes())
    return digest.hexdigest()
