"""Checkpoints are data: tensors as safetensors, everything else as JSON, and a SHA-256.

The file is a plain safetensors file. Its metadata hold `segtrain` (JSON: config, step, best score,
classes) and `sha256`, the digest of the whole file with those 64 digits read as zeros, because
neither torch nor safetensors notices a flipped bit. Nothing is ever unpickled.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from segtrain.engine.checkpoint_schema import check_meta
from segtrain.errors import InputError, SaveError

DIGEST = "sha256"
NO_DIGEST = "0" * 64
BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
UNFINISHED = ".unfinished"


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        tensors: name -> tensor, named `model.…`, `ema.…`, `optimizer.…`.
        meta: what JSON can hold: config, step, classes, ...
        digest: the SHA-256 of the file that it was loaded from.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    digest: str = ""

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix.`, without it."""
        start = f"{prefix}."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}

    def weights(self) -> dict[str, Tensor]:
        """The weights to evaluate with: the running average where the run kept one."""
        return self.part("ema") or self.part("model")


def save(checkpoint: Checkpoint, path: Path, *, previous: Path | None = None) -> None:
    """Writes `path` so that at every moment it is either the old file or the new one.

    Args:
        previous: the file that was at `path` stays there under this name.

    Raises:
        SaveError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    metadata = {"segtrain": json.dumps(checkpoint.meta), DIGEST: NO_DIGEST}
    try:
        with unfinished(path.parent) as folder:
            temporary = folder / path.name
            tensors = {k: v.detach().contiguous() for k, v in checkpoint.tensors.items()}
            save_file(tensors, temporary, metadata=metadata)
            os.chmod(temporary, 0o666 & ~_umask())  # safetensors keeps its files to their owner
            with open(temporary, "r+b") as file:
                digest, where = _digest(file)
                file.seek(where)
                file.write(digest.encode())
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                link = folder / previous.name
                os.link(path, link)
                os.replace(link, previous)
            os.replace(temporary, path)
            sync_folder(path.parent)
    except OSError as error:
        raise SaveError.of(path, error) from error
    except SafetensorError as error:
        raise SaveError(
            f"{path}: could not be written ({error})", do="free some space; the file before it is untouched"
        ) from error


def tidy(folder: Path) -> None:
    """Removes what a killed process left half written; only for who has the run's folder alone."""
    for left in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A folder below `folder` for files on their way, which is gone afterwards, whatever they were
    called: safetensors writes under a random name first."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}.", dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def load(path: Path) -> Checkpoint:
    """Reads and verifies a checkpoint. Raises InputError: missing, damaged, not a checkpoint, or a key of
    its metadata has another form than a run writes."""
    _check_there(path)
    try:
        with safe_open(path, framework="pt") as file:
            meta, metadata = _meta(file, path), file.metadata()
            with open(path, "rb") as raw:
                intact = _digest(raw)[0] == metadata[DIGEST]
            if not intact:
                raise InputError(f"{path}: the checkpoint is damaged", do="take previous.ckpt beside it")
            names = file.keys()  # it is no dict
            tensors = {name: file.get_tensor(name) for name in names}
            return Checkpoint(tensors, meta, metadata[DIGEST])
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as error:
        raise InputError(
            f"{path}: not a checkpoint of segtrain, or cut short", do="give a best.ckpt or last.ckpt"
        ) from error


def read_meta(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without its tensors and unverified. Raises InputError as `load`."""
    _check_there(path)
    try:
        with safe_open(path, framework="pt") as file:
            return _meta(file, path)
    except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as error:
        raise InputError(
            f"{path}: not a checkpoint of segtrain, or cut short", do="give a best.ckpt or last.ckpt"
        ) from error


def _check_there(path: Path) -> None:
    if not path.is_file():
        what = "a folder without checkpoints/best.ckpt" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}", do="give the path of a best.ckpt or last.ckpt")


def _meta(file: Any, path: Path) -> dict[str, Any]:
    meta = json.loads((file.metadata() or {})["segtrain"])
    check_meta(meta, path)
    return meta


def load_newest(folder: Path, say) -> Checkpoint:
    """last.ckpt, or previous.ckpt where that is damaged; `say` gets a line that names both."""
    try:
        return load(folder / LAST)
    except InputError as error:
        if not (folder / PREVIOUS).is_file():
            raise
        say(f"{error}: taking {folder / PREVIOUS} instead")
        return load(folder / PREVIOUS)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state, a tensor for each parameter and kind, by the parameter's name."""
    return {
        f"{name}.{kind}": value
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
        for kind, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave.

    Raises:
        InputError: it is of another optimizer or another model.
    """
    left = dict(tensors)
    for group in optimizer.param_groups:
        kinds = _state_kinds(optimizer, group)
        for name, parameter in zip(group["names"], group["params"], strict=True):
            state = {kind: left.pop(f"{name}.{kind}") for kind in kinds if f"{name}.{kind}" in left}
            if state and state.keys() != kinds.keys():
                raise _other_optimizer(f"{name} lacks {sorted(kinds.keys() - state.keys())[0]}")
            for kind, value in state.items():
                wanted = parameter.shape if kinds[kind] else torch.Size()
                if value.shape != wanted or not value.is_floating_point():
                    given = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
                    raise _other_optimizer(f"{kind} of {name} must be {tuple(wanted)}, got {given}")
                if not kinds[kind]:  # Adam's counter and NAdam's product stay on the CPU
                    state[kind] = value.clone()
                else:  # laid out in memory as its parameter is
                    state[kind] = torch.empty_like(parameter).copy_(value)
            if state:
                optimizer.state[parameter] = state
    if left:
        raise _other_optimizer(f"this one has no {next(iter(left))}")


def _state_kinds(optimizer: Optimizer, group: dict[str, Any]) -> dict[str, bool]:
    """What an optimizer keeps of a parameter of a group, by name, and whether it is of the parameter's
    shape; else it is a number. It is seen on a step of a small one."""
    probe = torch.zeros(2, 3, requires_grad=True)
    probe.grad = torch.zeros_like(probe)
    options = {key: value for key, value in group.items() if key not in ("params", "names")}
    kind: Any = type(optimizer)
    own = kind([options | {"params": [probe]}])
    own.step()
    kept = own.state.get(probe, {})
    return {kind: value.shape == probe.shape for kind, value in kept.items() if isinstance(value, Tensor)}


def _other_optimizer(what: str) -> InputError:
    return InputError(f"resume: made by another optimizer or model: {what}", do="resume with the same config")


class Initialised(NamedTuple):
    """What `initialise` did: names of tensors loaded, left at their initial values, and unused."""

    loaded: list[str]
    new: list[str]
    unused: list[str]


def initialise(model: nn.Module, weights: dict[str, Tensor]) -> Initialised:
    """Takes every tensor of `weights` that has its name and shape in the model (`init_from`)."""
    own = model.state_dict()
    fits = {k: v for k, v in weights.items() if k not in own or _are_alike(own[k], v)}
    # What the state dict lacks a layer may take nevertheless: Normalize, other means.
    result = model.load_state_dict(fits, strict=False)
    loaded = set(fits) - set(result.unexpected_keys)
    return Initialised(sorted(loaded), sorted(result.missing_keys), sorted(set(weights) - loaded))


def _are_alike(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are of one shape, and both of floating-point numbers or neither."""
    return one.shape == other.shape and one.is_floating_point() == other.is_floating_point()


def _digest(file) -> tuple[str, int]:
    """SHA-256 of an open checkpoint with its digest read as zeros, and where the digest stands."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    header = file.read(min(length, 100_000_000))
    marker = f'"{DIGEST}":"'.encode()
    at = header.find(marker)
    if at < 0:
        raise ValueError("no digest")
    at += len(marker)
    sha = hashlib.sha256(length.to_bytes(8, "little"))
    sha.update(header[:at] + NO_DIGEST.encode() + header[at + 64 :])
    while block := file.read(1 << 22):
        sha.update(block)
    return sha.hexdigest(), 8 + at


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Makes the renaming itself survive a power cut; Windows opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
