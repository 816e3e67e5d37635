"""In what runs differ, and which of them are seeds of one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segtrain.files import without_quotes
from segtrain.reports.runs import Run

SEED = "seed"
# What says nothing of a model: where and how fast it is computed, what is logged, and where it came from.
OF_THE_MACHINE = (
    *("seed", "ckpt", "device", "num_workers", "trust", "resume", "replay", "logger", "log_every", "report"),
    "plots",
    *("checkpoint_every", "val_every", "compile", "hydra", "compare", "submission", "metric", "threshold"),
)
MOST = 6  # keys of configs that become columns where the overrides do not explain a difference


@dataclass
class Group:
    """The runs of one model: seeds of it, or one run.

    Attributes:
        label: what is its own.
        runs: those with metrics, by seed.
    """

    label: str
    runs: list[Run]

    def values(self, key: str) -> list[float]:
        """A metric of each run that has it."""
        found = (run.metrics.get(key) for run in self.runs)
        return [float(value) for value in found if isinstance(value, float | int)]


@dataclass
class Differences:
    """Attributes:
    keys: in what the runs differ, the seed aside.
    values: of each run, by its name, the value of each key.
    shared: overrides that all runs have.
    labels: of each run, by its name.
    groups: the runs that have metrics, by model, the best mean IoU first.
    """

    keys: list[str]
    values: dict[str, list[str]]
    shared: list[str]
    labels: dict[str, str]
    groups: list[Group]

    @property
    def over_seeds(self) -> bool:
        """Whether a model has several runs."""
        return any(len(group.runs) > 1 for group in self.groups)


def find_differences(runs: Sequence[Run]) -> Differences:
    """Finds what varies among runs, and groups seeds.

    Example:
        >>> find_differences(runs).keys
        ["model", "optimizer.lr"]
    """
    keys = [key for key in _varying([run.overrides for run in runs]) if key not in (SEED, "ckpt")]
    flat = {run.name: flattened(run.config) for run in runs}
    keys += _unexplained(runs, keys, flat)
    values = {run.name: [_value(run, key, flat[run.name]) for key in keys] for run in runs}
    first = runs[0].overrides
    shared = [f"{k}={v}" for k, v in first.items() if all(run.overrides.get(k) == v for run in runs)]
    members: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        members.setdefault(tuple(values[run.name]), []).append(run)
    groups, labels = [], {}
    for of, belonging in members.items():
        label = _label(keys, of)
        seeds = [str(run.seed) for run in belonging]
        one_model = len(set(seeds)) == len(seeds)
        for run in belonging:
            own = f"seed {run.seed}" if one_model else run.name
            labels[run.name] = (
                label if len(belonging) == 1 and label else " ".join(filter(None, (label, own)))
            )
        done = [run for run in belonging if not run.problem]
        if one_model and done:
            groups.append(Group(label or (labels[done[0].name] if len(done) == 1 else "all"), done))
        else:
            groups += [Group(labels[run.name], [run]) for run in done]
    return Differences(keys, values, shared, labels, sorted(groups, key=_rank))


def _rank(group: Group) -> tuple[float, str]:
    found = group.values("mean_iou")
    return (-sum(found) / len(found) if found else 1.0), group.label


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config by dotted keys: `{"optimizer": {"lr": 0.1}}` is `{"optimizer.lr": 0.1}`."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            result |= flattened(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def config_differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """The keys of the resolved configs whose values differ, and each run's value; those of runs that have a
    config."""
    flat = [flattened(run.config) for run in runs]
    return [(key, [as_typed(of.get(key, "")) for of in flat]) for key in _varying(flat)]


def _varying(of_runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same in all, in their order."""
    every = dict.fromkeys(key for values in of_runs for key in values)
    return [key for key in every if len({repr(values.get(key)) for values in of_runs}) > 1]


def _unexplained(runs: Sequence[Run], keys: list[str], flat: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Keys of the configs in which runs differ that have the same overrides."""
    alike: dict[tuple, list[Run]] = {}
    for run in runs:
        if run.config and not run.problem:
            alike.setdefault(tuple(run.overrides.get(key) for key in keys), []).append(run)
    found = (key for members in alike.values() for key in _varying([flat[run.name] for run in members]))
    new = [key for key in dict.fromkeys(found) if key.partition(".")[0] not in OF_THE_MACHINE]
    return [key for key in new if key not in keys][:MOST]


def _value(run: Run, key: str, flat: Mapping[str, Any]) -> str:
    """Of a run: what was given, else what its config says."""
    if key in run.overrides:
        return without_quotes(run.overrides[key])
    return as_typed(flat[key]) if key in flat else "default" if run.config else ""


def as_typed(value: Any) -> str:
    """A value of a config as it is written on the command line."""
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value)) if _plain(value) else str(value)
    )


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _label(keys: Iterable[str], values: Iterable[str]) -> str:
    """Names as they are, numbers with their key: `fcn8s lr=0.001`."""
    parts = []
    for key, value in zip(keys, values, strict=True):
        if not value:
            continue
        plain_name = value.replace("_", "").replace("-", "").isalnum() and not value[:1].isdigit()
        clear = plain_name and value not in ("true", "false", "null", "default")
        parts.append(value if clear else f"{key.rpartition('.')[2]}={value}")
    return " ".join(parts)
