"""Hydra around a command, and one line and an exit code for every known failure."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from segtrain.cli.completion import complete
from segtrain.cli.folders import FolderRefused, leave_folders
from segtrain.cli.help import help_text
from segtrain.cli.memory import out_of_memory
from segtrain.cli.sweep import SweepFailed, network_metrics
from segtrain.commands.command_line import note_command
from segtrain.commands.folder import check_no_training, locked, new_folder
from segtrain.commands.paths import has_result, write_metrics
from segtrain.config.compose import CONFIG_DIR
from segtrain.config.data_file import adopt_data_files
from segtrain.config.mistakes import check_command_line, flags_first
from segtrain.config.no_option import settle_empty_groups
from segtrain.config.overrides import add_fold_keys, quote_values, unquote_keys
from segtrain.config.wording import CONFIG_ERRORS, explain
from segtrain.distributed import launch
from segtrain.distributed.signals import Stopped, ask_when_parent_ends
from segtrain.errors import InputError, SaveError, SegtrainError, shorten
from segtrain.version import __version__

UNUSABLE_PATH = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
DISK_FAILED = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.EREMOTEIO)
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

# Commands that leave a config.yaml, as a training does, and would replace one's.
WRITE_A_CONFIG = ("eval", "data", "predict", "import")


class Command(NamedTuple):
    """A command of the command line.

    Attributes:
        root: the root config; `seg` and this is the command's name, but for `segtrain`.
        function: takes the composed config and the run's folder, gives the metrics if it has any.
        recorded: `metrics.json` gets the metrics, or why there are none.
        complete: adds to the arguments what a checkpoint that they name says.
    """

    root: str
    function: Callable[[DictConfig, Path], dict[str, Any] | None]
    recorded: bool = False
    complete: Callable[[list[str]], list[str]] = list


def run_command(command: Command, arguments: list[str]) -> None:
    """Runs a command under Hydra and leaves the process with its exit code.

    Args:
        arguments: of the command line, without the program's name.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows ASCII only shows ? for the rest
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # notebooks have others
    if {"--help", "-h"} & set(arguments):
        _show(help_text(command.root), command.root)
        return
    if "--version" in arguments:
        _show(f"segtrain {__version__}", command.root)
        return
    _prepare_process()
    if {"--shell-completion", "-sc"} & set(arguments):
        words = complete(os.environ.get("COMP_LINE", ""))
        if words is not None:
            print(" ".join(words), flush=True)
            return
    job, refused = Job(command, arguments), False
    main = hydra.main(config_path=str(CONFIG_DIR), config_name=command.root, version_base="1.3")(job.run)
    try:
        check_command_line(command.root, arguments)
        arguments = flags_first(arguments)
        arguments = settle_empty_groups(command.root, quote_values(list(map(unquote_keys, arguments))))
        arguments = command.complete([add_fold_keys(one) for one in adopt_data_files(arguments)])
        sys.argv[1:] = arguments  # where Hydra reads them
        main()
        if job.failure is not None:
            raise job.failure
    except KeyboardInterrupt:
        refused = True
        _leave(command.root, "stopped", 130, show=launch.rank() == 0)
    except FolderRefused as error:
        _leave(command.root, error, error.reason.exit_code)
    except (Stopped, SweepFailed) as stop:  # on every rank alike
        _leave(command.root, stop, stop.exit_code, show=launch.rank() == 0)
    except CONFIG_ERRORS as error:
        refused = True
        _leave(command.root, explain(error, command.root, arguments), InputError.exit_code)
    except SegtrainError as error:
        refused = isinstance(error, InputError)
        _leave(command.root, error, error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        known = _known(error, job.folder)
        if known is None:
            _leave_with_traceback(error)
        _leave(command.root, known, known.exit_code)
    except Exception as error:
        _leave_with_traceback(error)
    finally:
        leave_folders(remove=refused and not job.sweeping)
        _end(sys.exc_info()[1])


class Job:
    """What Hydra calls: once, or for every run of a sweep.

    Args:
        arguments: of the command line, as they were typed.

    Attributes:
        folder: of the last run. sweeping: whether it is one of a sweep.
        failure: of a run that was no part of a sweep, or whose folder could not take it.
    """

    def __init__(self, command: Command, arguments: list[str]):
        self.command, self.arguments, self.folder, self.sweeping = command, arguments, Path(), False
        self.failure: BaseException | None = None

    def run(self, config: DictConfig) -> float:
        """Runs the command; gives the mean IoU, which a sweeper may maximise."""
        settings = HydraConfig.get()
        self.folder, overrides = Path(settings.runtime.output_dir), list(settings.overrides.task)
        self.sweeping = settings.mode == RunMode.MULTIRUN
        note_command(self.command.root, overrides if self.sweeping else self.arguments)
        if self.sweeping and launch.rank() == 0:
            print(f"\n── run {settings.job.num}: {' '.join(overrides) or 'defaults'}", flush=True)
        try:
            with locked(self.folder):
                metrics = self._recorded(config, overrides)
        except Exception as error:
            # A sweep's other runs are made; its callback reads of this one, wherever it was launched.
            if not self.sweeping:
                self.failure = error  # raised after Hydra's own cleaning up, which would print it too
            elif not isinstance(error, (SegtrainError, *CONFIG_ERRORS)):
                traceback.print_exc()
            return 0.0
        # Optuna takes no nan: a run without a metric is as bad as can be.
        return (metrics and network_metrics(metrics)["mean_iou"]) or 0.0

    def _recorded(self, config: DictConfig, overrides: list[str]) -> dict[str, Any] | None:
        """The command's metrics; `metrics.json` gets them, or why it failed, with the overrides."""
        if not self.command.recorded:
            return self._done(config)
        try:
            metrics = self._done(config)
            if metrics is not None:
                write_metrics(metrics, overrides, self.folder)
        except BaseException as error:
            reason: BaseException = error
            if isinstance(error, CONFIG_ERRORS):
                reason = explain(error, self.command.root, overrides)
            elif isinstance(error, OSError) and error.errno in CANNOT_WRITE:
                reason = _cannot_write(error, self.folder)
            try:
                if self.folder.is_dir():  # else it was renamed or removed, and is not made anew
                    self._record_failure(reason, overrides)
            except (OSError, SaveError):  # a full disk may be the very error
                self.failure = reason
            raise (reason if isinstance(reason, SaveError) else error) from None
        return metrics

    def _record_failure(self, reason: BaseException, overrides: list[str]) -> None:
        """Writes why there are no metrics. A command that was refused takes no earlier one's away: of a sweep
        it gets a folder of its own, NUMBER_refused, where the table finds it."""
        failed = {"error": str(reason), "exit_code": getattr(reason, "exit_code", 1)}
        folder = self.folder
        if isinstance(reason, InputError) and has_result(folder):
            if not self.sweeping or launch.rank() > 0:
                return
            settings = HydraConfig.get()
            folder = new_folder(Path(settings.sweep.dir) / f"{settings.job.num}_refused").path
        write_metrics(failed, overrides, folder)

    def _done(self, config: DictConfig) -> dict[str, Any] | None:
        """What the command gives. Memory that is too small is a fault of the config."""
        if self.command.root in WRITE_A_CONFIG:
            check_no_training(self.folder)
        try:
            return self.command.function(config, self.folder)
        except Exception as error:
            reason = out_of_memory(error, self.command.root, config)
            if reason is None:
                raise
            raise reason from error


def _show(text: str, root: str) -> None:
    """Prints what was asked for, and nothing else is done."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:  # Python would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(root, f"the output cannot be written ({error.strerror})", SaveError.exit_code)


def _prepare_process() -> None:
    # Hydra then raises instead of printing a traceback and leaving with 1.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    launch.adopt_slurm()
    if launch.several():  # or torch warns of its search for parameters without a gradient
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if launch.by_torchrun():  # else its processes would run on where it does not handle a signal
        ask_when_parent_ends(signal.SIGTERM)


def _known(error: OSError, folder: Path) -> SegtrainError | None:
    """What to say of a file or disk that failed; None where that may be a defect of ours."""
    if error.errno in CANNOT_WRITE:
        return _cannot_write(error, folder)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return InputError("too many open files", do="raise the limit by ulimit -n 4096, or use num_workers=0")
    if error.filename is None or error.errno not in (*UNUSABLE_PATH, *DISK_FAILED):
        return None
    do = "check the path" if error.errno in UNUSABLE_PATH else "check the disk, and run again"
    return InputError(f"{shorten(os.fsdecode(error.filename), 200)}: {error.strerror}", do=do)


def _cannot_write(error: OSError, folder: Path) -> SaveError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    do = "free some space; the checkpoints are as they were" if full else "choose another hydra.run.dir"
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else folder
    return SaveError(f"{place}: could not be written ({error.strerror})", do=do)


def _is_first(message: str) -> bool:
    """Whether no other process of the group has shown this message."""
    if not launch.several():
        return True
    from segtrain.distributed import process_group

    return process_group.first_to_say(message)


def _leave(root: str, message: object, code: int, *, show: bool | None = None) -> NoReturn:
    if _is_first(str(message)) if show is None else show:
        rank = f"rank {launch.rank()}: " if launch.several() else ""
        print(f"seg{root}: {rank}{message}", file=sys.stderr, flush=True)
    sys.exit(code)


def _end(ending: BaseException | None) -> None:
    """Ends this process at once where it was one of several (see `process_group.end_process`)."""
    if launch.several() and (ending is None or isinstance(ending, SystemExit)):
        from segtrain.distributed import process_group

        process_group.end_process(0 if ending is None else int(ending.code or 0))


def _leave_with_traceback(error: Exception) -> NoReturn:
    """A defect of ours."""
    if _is_first(str(error)):
        raise error
    sys.exit(1)
