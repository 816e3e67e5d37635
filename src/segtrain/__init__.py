"""segtrain: train, compare and understand semantic segmentation.

`build_model` gives a model of the zoo, `load_model` a trained one, `segtrain.crf.dense_crf` the
dense CRF. Everything else is reached by the commands `segtrain` and `segeval`.
"""

import importlib

__version__ = "0.1.0"


def __getattr__(name: str):
    # torch and Hydra are imported when a function is first asked for, not with the package.
    if name in ("build_model", "load_model"):
        from segtrain.commands import build

        return getattr(build, name)
    if name == "crf":
        return importlib.import_module("segtrain.crf")
    raise AttributeError(f"module 'segtrain' has no attribute {name!r}")
