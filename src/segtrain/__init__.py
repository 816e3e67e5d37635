"""segtrain: train, compare and understand semantic segmentation.

    import segtrain

    result = segtrain.train(model="fcn8s", data="camvid", data__root="data/CamVid", max_steps=2000)
    model = segtrain.load_model(result.folder)
    segtrain.predict(model, "street.png")

Keyword arguments are the command line's keys, `__` for the dot; `segtrain --help` explains them. torch is
imported when a function is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from segtrain.version import __version__ as __version__

# Or importing it asks the network for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

if TYPE_CHECKING:
    from segtrain import crf
    from segtrain.api import (
        build_model,
        evaluate,
        list_backbones,
        list_models,
        load_model,
        predict,
        train,
    )

__all__ = [
    "build_model",
    "crf",
    "evaluate",
    "list_backbones",
    "list_models",
    "load_model",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "crf":
        return importlib.import_module("segtrain.crf")
    if name in __all__:
        return getattr(importlib.import_module("segtrain.api"), name)
    raise AttributeError(f"module 'segtrain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
