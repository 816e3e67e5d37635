"""The commands: Hydra around a job, and one line and an exit code for every known failure."""

import errno
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from segtrain.cli.help import help_text
from segtrain.cli.sweep import SweepFailed
from segtrain.config.compose import CONFIG_DIR, SAVED_GROUPS, evaluation_config, plain
from segtrain.config.schema import check_scalars
from segtrain.config.wording import CONFIG_ERRORS, explain
from segtrain.distributed import launch
from segtrain.distributed.signals import Stopped, ask_when_parent_ends
from segtrain.errors import InputError, SaveError, SegtrainError

ENVIRONMENT = {
    "HYDRA_FULL_ERROR": "1",  # Hydra raises instead of printing a traceback and leaving with 1
    "NO_ALBUMENTATIONS_UPDATE": "1",  # or importing it asks the network for its newest version
}


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
GROUPS = ("model", "model/backbone", "data", "crops", "augment", "loss", "optimizer", "schedule", "inference")
RECORDED = ("train", "eval")  # metrics.json gets their metrics, or why there are none
# A composed config and the run's folder to its metrics, which metrics.json gets; or to nothing.
Job = Callable[[DictConfig, Path], dict | None]


def segtrain() -> None:
    """`segtrain`: trains."""
    _command("train", _train)


def segeval() -> None:
    """`segeval`: evaluates a checkpoint, or several as an ensemble."""
    _add_to_checkpoint()
    _command("eval", _evaluate)


def segpredict() -> None:
    """`segpredict`: labels and overlays of images, folders and videos."""
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


def _train(config: DictConfig, folder: Path) -> dict | None:
    values = plain(config)
    check_scalars(values)
    values.pop("experiment", None)
    if values.pop("replay"):
        from segtrain.commands.replay import replay

        with suppress(OSError):
            folder.rmdir()  # nothing is left in it
        return replay(config.replay, config.device, str(config.precision), config.trust)
    from segtrain.commands.train import train  # torch is imported when there is something to train

    choices = HydraConfig.get().runtime.choices
    named = {group: option for group, option in choices.items() if option and group in GROUPS}
    return train(values, named, folder)


def _evaluate(config: DictConfig, folder: Path) -> dict:
    configs, saved = _read_checkpoints(config)
    if config.tune_crf:
        from segtrain.commands.tune_crf import tune_checkpoints

        return tune_checkpoints(configs, saved, folder)
    if config.compare:
        from segtrain.commands.compare import compare_checkpoints

        return compare_checkpoints(configs, saved, folder)
    from segtrain.commands.evaluate import evaluate_checkpoints

    return evaluate_checkpoints(configs, saved, folder)


def _predict(config: DictConfig, folder: Path) -> None:
    if config.input is None:
        raise InputError("input= is missing", do="add input=PATH, an image, a folder or a video")
    configs, saved = _read_checkpoints(config)
    from segtrain.commands.predict import predict

    predict(configs, saved, folder)


def _look_at_data(config: DictConfig, folder: Path) -> None:
    from segtrain.commands.data import look_at_data

    look_at_data(plain(config), HydraConfig.get().runtime.choices["data"], folder)


def _import(config: DictConfig, folder: Path) -> None:
    values = plain(config)
    check_scalars(values)
    from segtrain.commands.import_weights import import_weights

    overrides = HydraConfig.get().overrides.task
    import_weights(values, {override.partition("=")[0].lstrip("+") for override in overrides}, folder)


def _export(config: DictConfig, folder: Path) -> None:
    configs, saved = _read_checkpoints(config)
    if len(saved) > 1:
        raise InputError(f"ckpt={list(config.ckpt)}: an ensemble cannot be exported", do="give one of them")
    from segtrain.commands.export import export_checkpoint

    export_checkpoint(configs[0], saved[0], folder)


def _read_checkpoints(config: DictConfig) -> tuple[list[dict], list]:
    """Each checkpoint of `ckpt` and its config with the user's keys on top. Raises InputError."""
    values = OmegaConf.to_container(config, resolve=False)
    check_scalars(values)
    if not values["ckpt"]:
        raise InputError("ckpt= is missing", do=f"add ckpt={_newest_checkpoint()}")
    from segtrain.commands.build import read_checkpoints

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
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(root))
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    launch.adopt_slurm()
    if launch.several():  # or torch warns of its search for parameters without a gradient
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if launch.by_torchrun():  # else its processes would run on where it does not handle a signal
        ask_when_parent_ends(signal.SIGTERM)
    failures: list[Exception] = []
    folder = Path()

    def run(config: DictConfig) -> float:
        nonlocal folder
        hydra_config = HydraConfig.get()
        folder, overrides = Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task)
        sweeping = hydra_config.mode == RunMode.MULTIRUN
        if sweeping and launch.rank() == 0:
            print(f"\n── run {hydra_config.job.num}: {' '.join(overrides) or 'defaults'}", flush=True)
        try:
            recorded = root in RECORDED
            metrics = _recorded(job, config, folder, overrides) if recorded else job(config, folder)
        except Exception as error:
            # A sweep's other runs go on; its callback reads of this one, wherever it was launched.
            if not sweeping:
                failures.append(error)  # raised when Hydra is done, which would tell of it too
            elif not isinstance(error, (SegtrainError, *CONFIG_ERRORS)):
                traceback.print_exc()
            return 0.0
        # For a sweeper that optimises: a run without a figure is as bad as can be. Optuna takes no nan.
        return (metrics and metrics["mean_iou"]) or 0.0

    main = hydra.main(config_path=str(CONFIG_DIR), config_name=root, version_base="1.3")(run)
    try:
        main()
        if failures:
            raise failures[0]
    except KeyboardInterrupt:
        _leave(root, "stopped", 130, say=launch.rank() == 0)
    except (Stopped, SweepFailed) as stop:  # on every rank alike
        _leave(root, stop, stop.exit_code, say=launch.rank() == 0)
    except CONFIG_ERRORS as error:
        _leave(root, explain(error, root), InputError.exit_code)
    except SegtrainError as error:
        _leave(root, error, error.exit_code)
    except Exception as error:  # a defect of ours, with its traceback
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            _leave(root, _no_room(error, folder), SaveError.exit_code)
        if _first_to_say(str(error)):
            raise
        sys.exit(1)


def _recorded(job: Job, config: DictConfig, folder: Path, overrides: list[str]) -> dict | None:
    """The job's metrics, if it has any; `metrics.json` gets the run's overrides, or why it failed."""
    path = folder / "metrics.json"
    try:
        record = job(config, folder)
    except BaseException as error:
        reason = explain(error, "train") if isinstance(error, CONFIG_ERRORS) else error
        record = {"error": str(reason), "exit_code": getattr(reason, "exit_code", 1)}
        with suppress(OSError):  # a full disk may be the very error
            _write_record(record, overrides, path)
        raise
    _write_record(record, overrides, path)
    return record


def _write_record(record: dict | None, overrides: list[str], path: Path) -> None:
    if launch.rank() > 0:
        with suppress(OSError):  # Hydra made it, and the time in its name may not be the first rank's
            path.parent.rmdir()
    elif record is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record | {"overrides": overrides}, indent=2))


def _no_room(error: OSError, folder: Path) -> SaveError:
    return SaveError(
        f"{error.filename or folder}: could not be written ({error.strerror})",
        do="free some space; the checkpoints are as they were",
    )


def _first_to_say(message: str) -> bool:
    """Whether this process is the one to tell what its whole group may have to tell."""
    if not launch.several():
        return True
    from segtrain.distributed import process_group

    return process_group.first_to_say(message)


def _leave(root: str, message, code: int, *, say: bool | None = None) -> None:
    if _first_to_say(str(message)) if say is None else say:
        rank = f"rank {launch.rank()}: " if launch.several() else ""
        print(f"seg{root}: {rank}{message}", file=sys.stderr, flush=True)
    sys.exit(code)
