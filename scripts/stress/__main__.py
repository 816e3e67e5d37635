"""Runs the promises at full count and prints them as a table: `python -m scripts.stress [NAME ...]`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from scripts.stress import NAMES, _peer, promise


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.stress", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}; all if none")
    parser.add_argument("--count", type=int, help="cases of each promise; its full count if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", action="store_true", help="two of them for Lightning Fabric, to compare")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"{min(unknown)}: no such promise; there are {', '.join(NAMES)}")
    print("| promise | reached | seed | minutes |\n| --- | --- | --- | --- |")
    if arguments.peer:
        with tempfile.TemporaryDirectory(prefix="stress-peer-") as folder:
            for what, figure in _peer.rows(arguments.seed, Path(folder)).items():
                print(f"| {what} | {figure} | {arguments.seed} | |", flush=True)
        return 0
    broken = 0
    for name in arguments.names or NAMES:
        checked, start = promise(name), time.monotonic()
        count = checked.FULL if arguments.count is None else arguments.count
        with tempfile.TemporaryDirectory(prefix=f"stress-{name}-") as folder:
            try:
                figure = checked.run(count, arguments.seed, Path(folder))
            except AssertionError as error:
                broken += 1
                figure = f"**broken**: {error}"
        minutes = (time.monotonic() - start) / 60
        print(f"| {checked.PROMISE} | {figure} | {arguments.seed} | {minutes:.1f} |", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
