"""`make bench`: every benchmark, one after another, as one table. Others' benchmarks print their own."""

import subprocess
import sys
from pathlib import Path

import torch
from measure import HEADER

from segtrain.engine.device import choose

HERE = Path(__file__).parent
ROWS = ("steps", "fcn", "memory", "waiting", "loop", "evaluation", "startup", "growth", "curve", "compiled")


def main() -> None:
    precision = choose("cpu", "auto").precision
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, precision=auto is {precision}\n")
    print(HEADER)
    failed = [name for name in ROWS if subprocess.run([sys.executable, HERE / f"{name}.py"]).returncode]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
