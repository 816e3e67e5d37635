"""`make bench`: every benchmark, or those that are named, one after another, as one table."""

import argparse
import subprocess
import sys
from pathlib import Path

import torch
from measure import HEADER

from segtrain.engine.device import choose

HERE = Path(__file__).parent
ROWS = (
    "steps fcn memory waiting loop evaluation labels augmenting crf startup growth curve compiled"
).split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}", default=ROWS)
    rows = parser.parse_args().rows
    precision = choose("cpu", "auto").precision
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, precision=auto is {precision}\n")
    print(HEADER)
    failed = [name for name in rows if subprocess.run([sys.executable, HERE / f"{name}.py"]).returncode]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
