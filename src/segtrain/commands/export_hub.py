"""`segexport format=hub`: a folder that others can load the model from, and its way to the Hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from segtrain.commands.build import count_parameters, restore_model, saved_input
from segtrain.commands.fetch import HUB_FILE, fetched, require_hub
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.zoo import zoo_entry
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint import LAST, Checkpoint
from segtrain.errors import InputError, SaveError
from segtrain.files import user_path, write_bytes
from segtrain.papers.contract import departures
from segtrain.progress import Terminal
from segtrain.reports.model_card import Card, model_card

KEPT = ("class_names", "palette", "step", "input", "threshold", "imported")  # of the checkpoint's metadata
IMAGES = {
    "results.png": "curves of the training",
    "val_batch.jpg": "validation images, masks and predictions",
}


def export_hub(config: dict[str, Any], saved: Checkpoint, folder: Path) -> None:
    """Writes `out`, or a folder below `folder`: weights, config, metrics, images and a card; and uploads it
    where `push` names a repository.

    Args:
        config: the checkpoint's, with the user's keys on top.
        saved: the checkpoint.
        folder: of this run of the command.

    Raises:
        InputError: huggingface_hub is not installed, or the Hub refuses the upload.
        SaveError: the folder cannot be written.
    """
    if config["push"]:
        require_hub()
    out = user_path(config["out"]) if config["out"] else folder / "hub"
    run = run_folder(config["ckpt"])
    trained, metrics = _yaml(run / "config.yaml"), _json(run / "metrics.json")
    shared = without_folders(saved.meta["config"])
    tensors = {f"model.{name}": tensor for name, tensor in saved.weights().items()}
    meta = {key: saved.meta[key] for key in KEPT if key in saved.meta} | {"config": shared}
    checkpoint.save(Checkpoint(tensors, meta), out / HUB_FILE)
    write_yaml(without_folders(trained) or shared, out / "config.yaml")
    if metrics:
        kept = {key: value for key, value in metrics.items() if key not in ("made_by", "overrides")}
        write_bytes(out / "metrics.json", json.dumps(kept, indent=2).encode())
    images = {name: text for name, text in IMAGES.items() if (run / name).is_file()}
    for name in images if config["images"] else ():
        _copy(run / name, out / name)
    chosen = choices(run)
    card = Card(
        name=f"{chosen['model']} on {chosen['data']}",
        repository=config["push"],
        license=config["license"],
        model=chosen["model"],
        data=chosen["data"],
        parameters=count_parameters(restore_model(config["model"], saved)),
        images=saved_input(saved).words(),
        class_names=saved.meta["class_names"],
        metrics=metrics,
        config=without_folders(trained),
        departures=[each.text for each in departures(trained, chosen.get("experiment") or "")],
        files=images if config["images"] else {},
    )
    write_bytes(out / "README.md", model_card(card).encode())
    about = {"model": chosen["model"], "data": chosen["data"], "license": config["license"]}
    write_yaml(
        zoo_entry(f"{chosen['model']}_{chosen['data']}", out / HUB_FILE, metrics, about), out / "zoo.yaml"
    )
    say = Terminal(soft_wrap=True, highlight=False).print
    say(f"hub: {relative(out)}, look at its README.md before you share it", markup=False)
    if config["push"]:
        say(f"pushed: hf://{push(out, config['push'])}", markup=False)


def push(out: Path, repository: str) -> str:
    """Uploads a folder as a model's repository, which is made where it is missing.

    Args:
        out: the folder.
        repository: USER/NAME.

    Returns:
        The repository's name.

    Raises:
        InputError: no network, no right to write there, or a name that the Hub does not take.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        made = api.create_repo(repository, repo_type="model", exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=out, commit_message="segexport format=hub")
    except Exception as error:  # its own, those of its HTTP library, and the disk's
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"push={repository}: the upload failed ({type(error).__name__}: {reason})",
            do=f"log in by `hf auth login`, or upload later: hf upload {repository} {relative(out)}",
        ) from error
    return made.repo_id


def run_folder(ckpt: str | list[str]) -> Path:
    """The folder of the run that a checkpoint lies in, for what lies beside it."""
    path = fetched(ckpt if isinstance(ckpt, str) else ckpt[0])
    if path.is_dir():
        return path.parent if path.name == "checkpoints" else path
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def without_folders(config: Any) -> Any:
    """A config without folders and files of this machine: an absolute path becomes its last part."""
    if isinstance(config, dict):
        return {key: without_folders(value) for key, value in config.items()}
    if isinstance(config, list):
        return [without_folders(value) for value in config]
    if isinstance(config, str) and (Path(config).is_absolute() or config.startswith(("~", ".."))):
        return Path(config).name
    return config


def choices(run: Path) -> dict[str, str]:
    """The options of a run's model, data and recipe, from last.ckpt; else by its folder's name,
    `outputs/MODEL_DATA/TIME`."""
    model, _, data = run.resolve().parent.name.rpartition("_")
    named = {"model": model or run.resolve().name, "data": data or "own"}
    try:
        saved = checkpoint.read_meta(run / "checkpoints" / LAST).get("choices")
    except InputError:
        saved = None
    known = {key: str(value) for key, value in (saved or {}).items() if isinstance(value, str)}
    return named | known


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise SaveError.of(target, error) from error


def _yaml(path: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
