"""MLflow (extra `mlflow`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.contracts import RunInfo
from segtrain.errors import InputError, how_to_install

RUN_ID_FILE = "mlflow_run_id.txt"
LONGEST = 500  # characters of a parameter's value


class MLflow:
    """Logs to MLflow; a resumed run continues the same one.

    Args:
        tracking_uri: a server, or a database; null is `outputs/mlflow.db` (`mlflow ui --backend-store-uri
            sqlite:///outputs/mlflow.db`).
        experiment: of the runs.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, *, tracking_uri: str | None = None, experiment: str = "segtrain"):
        if find_spec("mlflow") is None:
            raise InputError("logger=mlflow: mlflow is not installed", do=how_to_install("mlflow"))
        self.tracking_uri, self.experiment = tracking_uri, experiment
        self._client: Any = None
        self._run_id = ""

    def start(self, run: RunInfo) -> None:
        """Starts a run, or continues the one that the folder was logged as."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # or it reports each run to its makers
        from mlflow.tracking import MlflowClient

        uri = self.tracking_uri
        if uri is None:
            Path("outputs").mkdir(exist_ok=True)
            uri = f"sqlite:///{Path('outputs/mlflow.db').resolve()}"
        self._client = MlflowClient(uri)
        id_file = run.folder / RUN_ID_FILE
        if id_file.is_file():
            self._run_id = id_file.read_text(encoding="utf-8").strip()
            self._client.update_run(self._run_id, status="RUNNING")
            return
        experiment = self._client.get_experiment_by_name(self.experiment)
        if experiment is None:
            artifacts = Path("outputs/mlflow").resolve().as_uri() if self.tracking_uri is None else None
            experiment_id = self._client.create_experiment(self.experiment, artifacts)
        else:
            experiment_id = experiment.experiment_id
        name = run.name
        self._run_id = self._client.create_run(experiment_id, run_name=name).info.run_id
        id_file.write_text(self._run_id, encoding="utf-8")
        for key, value in _flat(run.config).items():
            self._client.log_param(self._run_id, key, str(value)[:LONGEST])

    def log_scalars(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Logs `split/name` at a step."""
        for name, value in values.items():
            if value is not None:
                self._client.log_metric(self._run_id, f"{split}/{_allowed(name)}", value, step=step)

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs an image, uint8 H×W×3, as an artifact."""
        self._client.log_image(self._run_id, image, f"images/{_allowed(name)}_step{step}.png")

    def log_hyperparameters(self, values: Mapping[str, Any], results: Mapping[str, float]) -> None:
        """Logs the results; the config is logged when the run starts."""
        for name, value in results.items():
            self._client.log_metric(self._run_id, _allowed(name), value)

    def flush(self) -> None:
        """Nothing to do: every value is written at once."""

    def close(self) -> None:
        """Marks the run as finished."""
        if self._client is not None:
            self._client.set_terminated(self._run_id)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"model": {"stride": 8}}` as `{"model.stride": 8}`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _allowed(name: str) -> str:
    """A name with nothing but what MLflow allows in one, and no step up."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name).replace("..", "_")
