"""`make stress`: what segtrain promises about trust, one file a promise.

Each file has `PROMISE` (a sentence), `FULL` and `SAMPLE` (how many cases for `make stress` and for
`make test`) and `run(count, seed, folder)`, which raises AssertionError naming the first case that
broke the promise, and returns the figure reached: "100 of 100 kills, weights bit-equal".
"""

import importlib
from pathlib import Path
from types import ModuleType

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def promise(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
