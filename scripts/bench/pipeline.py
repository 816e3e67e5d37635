"""How long `segpredict` takes for a folder of images, over the longer of what its stages take.

Reading, the network and writing are timed inside one run; all of them together are what would pass one
after the other.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segtrain.cli import entry
from segtrain.commands.pipeline import READERS, Pipeline
from segtrain.commands.predict import Writer

seconds = {"load": 0.0, "predict": 0.0, "write": 0.0, "run": 0.0}


def timed(cls: type, name: str) -> None:
    """Adds the seconds of a method's calls to `seconds`."""
    method: Callable = getattr(cls, name)

    def call(*arguments: Any) -> Any:
        start = time.monotonic()
        try:
            return method(*arguments)
        finally:
            seconds[name] += time.monotonic() - start

    setattr(cls, name, call)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ckpt", help="a run")
    parser.add_argument("input", help="a folder of images")
    parser.add_argument("more", nargs="*", help="further keys of segpredict")
    arguments = parser.parse_args()
    for name in ("load", "predict", "write"):
        timed(Writer, name)
    timed(Pipeline, "run")
    with tempfile.TemporaryDirectory() as folder:
        output = f"output={Path(folder) / 'out'}"
        sys.argv = [
            "segpredict",
            f"ckpt={arguments.ckpt}",
            f"input={arguments.input}",
            output,
            *arguments.more,
        ]
        entry.segpredict()
    stages = seconds["load"] / READERS, seconds["predict"], seconds["write"]
    share = seconds["run"] / max(stages)
    print(f"reading {seconds['load']:.2f} s in {READERS} threads, network {stages[1]:.2f} s,", end=" ")
    print(f"writing {stages[2]:.2f} s; all {seconds['run']:.2f} s, {share:.2f} times the longest")


if __name__ == "__main__":
    main()
