"""The titles of what a run draws: its model, its data, and the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrain.commands.paths import checkpoint_paths
from segtrain.contracts import RunInfo

OWN = ("folder", "multilabel_folder", "raster")  # data sets of anybody's images, named by their folder


def title_of(config: Mapping[str, Any], folder: Path) -> str:
    """The title of a run.

    Args:
        config: resolved, of a training, an evaluation or a prediction.
        folder: of the run.

    Example:
        >>> title_of(config, Path("outputs/unet_camvid/2026-11-29_10-00-00"))
        'UNet on CamVid: unet_camvid/2026-11-29_10-00-00'
    """
    data = data_title(config["data"]) + (f", {config['split']} split" if config.get("split") else "")
    ckpts, stored = (checkpoint_paths(config.get(key)) for key in ("ckpt", "predictions"))
    if len(ckpts) + len(stored) > 1:
        return f"{len(ckpts) + len(stored)} networks on {data}: {RunInfo(folder, '', {}).name}"
    if stored:
        return f"{Path(stored[0]).name} on {data}"
    if ckpts:  # the network comes from another run
        place = Path(ckpts[0])
        folder = place.parent.parent if place.suffix == ".ckpt" else place
    return f"{_class_name(config.get('model'))} on {data}: {RunInfo(folder, '', {}).name}"


def drawing_of(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`title` and `formats` of a run's log: what its plots say, and how they are written beside PNG."""
    return {"title": title_of(config, folder), "formats": formats_of(config.get("plots"))}


def formats_of(plots: bool | str | Sequence[str] | None) -> tuple[str, ...]:
    """The formats that `plots=` names beside PNG.

    Example:
        >>> formats_of(["svg", "pdf"])
        ('svg', 'pdf')
    """
    return () if isinstance(plots, bool | None) else (plots,) if isinstance(plots, str) else tuple(plots)


def data_title(node: Mapping[str, Any]) -> str:
    """A data set's name, of one's own data the folder's; and the fold."""
    module, _, name = str(node.get("_target_", "")).rpartition(".")
    benchmark = module.startswith("segtrain.data.datasets.") and module.rpartition(".")[2] not in OWN
    if node.get("root") and not benchmark:
        name = Path(str(node["root"])).resolve().name
    if node.get("folds"):
        name = f"{name}, fold {node.get('fold')} of {node['folds']}"
    return name


def _class_name(node: Any) -> str:
    return str((node or {}).get("_target_", "network")).rpartition(".")[2]
