"""Before Hydra makes the folder of a run or of a sweep, we make it, so that no two runs share one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from segtrain.commands.folder import MadeFolder, given_folder, locked, new_folder
from segtrain.distributed import launch
from segtrain.errors import SegtrainError


class FolderRefused(BaseException):
    """A folder cannot be had; no Exception, for Hydra turns one of a callback into a warning."""

    def __init__(self, reason: SegtrainError):
        super().__init__(str(reason))
        self.reason = reason


class FoldersOfRuns(Callback):
    """A Hydra callback: folders named by the time get a number where another run has the name.

    Attributes:
        made: by this process, in the present command. held: the lock of a sweep's folder.
    """

    made: ClassVar[list[MadeFolder]] = []
    held: ClassVar = ExitStack()

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Makes the folder of a run."""
        _make(config, "run")

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Makes the folder of a sweep and locks it; each run locks its own below."""
        try:
            FoldersOfRuns.held.enter_context(locked(_make(config, "sweep")))
        except SegtrainError as error:
            raise FolderRefused(error) from None


def is_given(config: DictConfig, kind: str) -> bool:
    """Whether the user chose the folder. kind: run or sweep."""
    by_output = kind == "run" and any(o.startswith("output=") for o in config.hydra.overrides.task)
    return by_output or any(o.startswith(f"hydra.{kind}.dir=") for o in config.hydra.overrides.hydra)


def _make(config: DictConfig, kind: str) -> Path:
    HydraConfig.instance().set_config(config)  # the name has the options in it
    path = Path(config.hydra[kind].dir)
    given = is_given(config, kind)
    if launch.rank() > 0:  # only the first rank writes; Hydra must make no folder of a second later
        path = path if given else path.parent
    else:
        try:
            folder = given_folder(path) if given else new_folder(path)
        except SegtrainError as error:
            raise FolderRefused(error) from None
        FoldersOfRuns.made.append(folder)
        path = folder.path
    with read_write(config), read_write(config.hydra), open_dict(config):
        config.hydra[kind].dir = str(path)
        if kind == "sweep" and not given:  # Hydra composes every run's config anew; + says that it is ours
            config.hydra.overrides.hydra.append(f"++hydra.sweep.dir={path}")
        of_folder = "output" in config and "format" not in config  # segexport's says what the file gives
        if kind == "run" and of_folder and not given:
            config.output = str(path)
    return path


def leave_folders(*, remove: bool) -> None:
    """At the end of a command: unlocks the folders, and removes those that a refused one has not used.

    Args:
        remove: also those that hold a run's beginning; empty ones go in any case.
    """
    FoldersOfRuns.held.close()
    for folder in FoldersOfRuns.made:
        if remove or (folder.path.is_dir() and not any(folder.path.iterdir())):
            folder.remove_if_unused()
    FoldersOfRuns.made.clear()
