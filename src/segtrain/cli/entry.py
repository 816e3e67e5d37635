"""The commands: Hydra around a job, and one line and an exit code for every known failure."""

import json
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from segtrain.cli.compose import CONFIG_DIR, SAVED_GROUPS, evaluation_config, plain
from segtrain.cli.problems import CONFIG_ERRORS, explain
from segtrain.cli.scalars import check_scalars
from segtrain.engine.signals import Stopped
from segtrain.errors import InputError, SegtrainError

ENVIRONMENT = {
    "HYDRA_FULL_ERROR": "1",  # Hydra raises instead of printing a traceback and leaving with 1
    "NO_ALBUMENTATIONS_UPDATE": "1",  # or importing it asks the network for its newest version
    "THP_MEM_ALLOC_ENABLE": "1",  # large pages for tensors
}


GROUPS = ("model", "model/backbone", "data", "crops", "augment", "loss", "optimizer", "schedule", "inference")
# A composed config and the run's folder to its figures, which metrics.json gets; or to nothing.
Job = Callable[[DictConfig, Path], dict | None]


def segtrain() -> None:
    """`segtrain`: trains."""
    _command("train", _train)


def segeval() -> None:
    """`segeval`: evaluates a checkpoint, or several as an ensemble."""
    _add_to_checkpoint()
    _command("eval", _evaluate)


def segpredict() -> None:
    """`segpredict`: labels and overlays of pictures, folders and videos."""
    _add_to_checkpoint()
    _command("predict", _predict)


def segdata() -> None:
    """`segdata`: checks a data set, counts it, or shows it."""
    _command("data", _look_at_data)


def segimport() -> None:
    """`segimport`: a checkpoint of ours from published weights."""
    _command("import", _import)


def segexport() -> None:
    """`segexport`: a checkpoint as ONNX, as a program of torch.export, or as plain tensors."""
    _add_to_checkpoint()
    _command("export", _export)


def _train(config: DictConfig, folder: Path) -> dict:
    values = plain(config)
    check_scalars(values)
    values.pop("experiment", None)
    from segtrain.cli.training import train  # torch is imported when there is something to train

    choices = HydraConfig.get().runtime.choices
    named = {group: option for group, option in choices.items() if option and group in GROUPS}
    return train(values, named, folder)


def _evaluate(config: DictConfig, folder: Path) -> dict:
    configs, saved = _read_checkpoints(config)
    if config.compare:
        from segtrain.cli.comparison import compare_checkpoints

        return compare_checkpoints(configs, saved, folder)
    from segtrain.cli.evaluation import evaluate_checkpoints

    return evaluate_checkpoints(configs, saved, folder)


def _predict(config: DictConfig, folder: Path) -> None:
    if config.input is None:
        raise InputError("input= is missing", do="add input=PATH, a picture, a folder or a video")
    configs, saved = _read_checkpoints(config)
    from segtrain.cli.prediction import predict

    predict(configs, saved, folder)


def _look_at_data(config: DictConfig, folder: Path) -> None:
    from segtrain.cli.segdata import look_at_data

    look_at_data(plain(config), HydraConfig.get().runtime.choices["data"], folder)


def _import(config: DictConfig, folder: Path) -> None:
    values = plain(config)
    check_scalars(values)
    from segtrain.cli.importing import import_weights

    overrides = HydraConfig.get().overrides.task
    import_weights(values, {override.partition("=")[0].lstrip("+") for override in overrides}, folder)


def _export(config: DictConfig, folder: Path) -> None:
    configs, saved = _read_checkpoints(config)
    if len(saved) > 1:
        raise InputError(f"ckpt={list(config.ckpt)}: an ensemble cannot be exported", do="give one of them")
    from segtrain.cli.exporting import export_checkpoint

    export_checkpoint(configs[0], saved[0], folder)


def _read_checkpoints(config: DictConfig) -> tuple[list[dict], list]:
    """Each checkpoint of `ckpt` and its config with the user's keys on top. Raises InputError."""
    values = OmegaConf.to_container(config, resolve=False)
    check_scalars(values)
    if not values["ckpt"]:
        raise InputError("ckpt= is missing", do=f"add ckpt={_newest_checkpoint()}")
    from segtrain.cli.build import read_checkpoints

    paths = values["ckpt"]
    saved = read_checkpoints([paths] if isinstance(paths, str) else paths)
    return [evaluation_config(config, checkpoint.meta["config"]) for checkpoint in saved], saved


def _add_to_checkpoint() -> None:
    """The groups come from the checkpoint: `data.root=X` is to add to what is not there yet."""
    group_key = re.compile(rf"({'|'.join(SAVED_GROUPS)})\.")
    sys.argv[1:] = [f"++{a}" if group_key.match(a) else a for a in sys.argv[1:]]


def _newest_checkpoint() -> str:
    found = sorted(Path("outputs").glob("*/*/checkpoints/best.ckpt"), key=lambda p: p.stat().st_mtime)
    return str(found[-1]) if found else "PATH, the best.ckpt of a run"


def _command(root: str, job: Job) -> None:
    """Runs a job under Hydra and leaves the process with its exit code."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    failures: list[BaseException] = []

    def run(config: DictConfig) -> float:
        hydra_config = HydraConfig.get()
        folder, overrides = Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task)
        if hydra_config.mode == RunMode.MULTIRUN:
            print(f"\n── run {hydra_config.job.num}: {' '.join(overrides) or 'defaults'}", flush=True)
        try:
            figures = _recorded(job, config, folder, overrides)
        except Exception as error:
            failures.append(error)  # raised when Hydra is done, with a sweep's other runs too
            return math.nan
        score = figures and figures["mean_iou"]
        return math.nan if score is None else score

    main = hydra.main(config_path=str(CONFIG_DIR), config_name=root, version_base="1.3")(run)
    try:
        main()
        if failures:
            raise failures[0]
    except KeyboardInterrupt:
        _leave(root, "stopped", 130)
    except Stopped as stop:
        _leave(root, stop, stop.exit_code)
    except CONFIG_ERRORS as error:
        _leave(root, explain(error, root), InputError.exit_code)
    except SegtrainError as error:  # anything else is a defect of ours, with its traceback
        _leave(root, error, error.exit_code)


def _recorded(job: Job, config: DictConfig, folder: Path, overrides: list[str]) -> dict | None:
    """The job's figures, if it has any; `metrics.json` gets the run's overrides, or why it failed."""
    path, record = folder / "metrics.json", {}
    try:
        record = job(config, folder)
    except BaseException as error:
        record = {"error": str(explain(error, "train") if isinstance(error, CONFIG_ERRORS) else error)}
        raise
    finally:
        if record is not None and int(os.environ.get("RANK", 0)) == 0:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record | {"overrides": overrides}, indent=2))
    return record


def _leave(root: str, message, code: int) -> None:
    print(f"seg{root}: {message}", file=sys.stderr)
    sys.exit(code)
