"""Trackio (extra `trackio`): experiments in a local database, with a dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from segtrain.contracts import RunInfo
from segtrain.errors import InputError, how_to_install


class Trackio:
    """Logs to Trackio's local database (`trackio show`); a resumed run continues the same one.

    Args:
        project: of the runs.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, *, project: str = "segtrain"):
        if find_spec("trackio") is None:
            raise InputError("logger=trackio: trackio is not installed", do=how_to_install("trackio"))
        self.project = project
        self._run: Any = None

    def start(self, run: RunInfo) -> None:
        """Starts a run by the name of the folder, or continues it."""
        import trackio

        name = run.name
        self._run = trackio.init(project=self.project, name=name, config=run.config, resume="allow")

    def log_scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Logs `split/name` at a step."""
        import trackio

        known = {f"{split}/{name}": value for name, value in values.items() if value is not None}
        trackio.log(known, step=step)

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs an image, uint8 H×W×3."""
        import trackio

        trackio.log({name: trackio.Image(image)}, step=step)

    def log_hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Logs the results; the config is logged when the run starts."""
        import trackio

        trackio.log({f"result/{name}": value for name, value in results.items()})

    def flush(self) -> None:
        """Nothing to do: its own thread writes."""

    def close(self) -> None:
        """Finishes the run."""
        import trackio

        if self._run is not None:
            trackio.finish()
