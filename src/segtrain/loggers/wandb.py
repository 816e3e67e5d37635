"""Weights & Biases (extra `wandb`)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from segtrain.contracts import RunInfo
from segtrain.errors import InputError, how_to_install

RUN_ID_FILE = "wandb_run_id.txt"


class WandB:
    """Logs to Weights & Biases; a resumed run continues the same one.

    Args:
        project: of the runs.
        mode: `offline` writes below the run's folder, for `wandb sync`; `online` sends.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, *, project: str = "segtrain", mode: Literal["offline", "online"] = "offline"):
        if find_spec("wandb") is None:
            raise InputError("logger=wandb: wandb is not installed", do=how_to_install("wandb"))
        self.project, self.mode = project, mode
        self._run: Any = None

    def start(self, run: RunInfo) -> None:
        """Starts a run, or continues the one that the folder was logged as."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # they look a server up, offline too
        import wandb

        id_file = run.folder / RUN_ID_FILE
        run_id = id_file.read_text(encoding="utf-8").strip() if id_file.is_file() else uuid.uuid4().hex[:8]
        id_file.write_text(run_id, encoding="utf-8")
        self._run = wandb.init(
            project=self.project,
            id=run_id,
            name=run.name,
            config=run.config,
            dir=str(run.folder),
            mode=self.mode,
            resume="allow",
        )

    def log_scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Logs `split/name` at a step."""
        known = {f"{split}/{name}": value for name, value in values.items() if value is not None}
        self._run.log(known, step=step)

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs an image, uint8 H×W×3."""
        import wandb

        self._run.log({name: wandb.Image(image)}, step=step)

    def log_hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Adds the options to the config and the results to the summary."""
        self._run.config.update(dict(values), allow_val_change=True)
        self._run.summary.update(dict(results))

    def flush(self) -> None:
        """Nothing to do: its own process writes."""

    def close(self) -> None:
        """Finishes the run."""
        if self._run is not None:
            self._run.finish()
