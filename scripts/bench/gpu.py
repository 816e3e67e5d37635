"""`make bench-gpu`: training, evaluation, the CRF, and agreement with the CPU, on one GPU in six minutes.

Self-contained: images are drawn, and stored as JPEG and PNG, so that a loader has its usual work. What has
not begun when the minutes are over is left out, and a part that fails leaves the others. The whole flow runs
on a CPU too: `--device cpu --tiny`. `--json FILE` keeps the rows, each as soon as it is there.
"""

import argparse
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from gpu_inference import agreement, crf_rows, evaluation_rows, prediction_row
from gpu_setting import TINY, Setting, Sizes
from gpu_training import compiled_rows, deeplab_rows, network_rows
from measure import HEADER, PRINTED, WATCHERS, row

from segtrain.engine.device import choose
from segtrain.engine.worker_count import worker_count
from segtrain.files import write_bytes

PARTS: dict[str, Callable[[Setting], None]] = {
    "agreement": agreement,
    "deeplab": deeplab_rows,
    "crf": crf_rows,
    "evaluation": evaluation_rows,
    "networks": network_rows,
    "prediction": prediction_row,
    "compiled": compiled_rows,
}
LAST = 60  # seconds of a limit from outside, for the part that has begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU computes in seconds")
    limit = float(os.environ.get("PART_SECONDS", 360 + LAST))
    parser.add_argument("--minutes", type=float, default=(limit - LAST) / 60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    fast, full = (choose(arguments.device, precision) for precision in ("auto", "32"))
    cuda = fast.device.type == "cuda"
    name = torch.cuda.get_device_name(fast.device) if cuda else "CPU"
    workers = worker_count("auto", fast.device, batches=1000) if cuda else 0
    about = f"torch {torch.__version__}, {name}, precision=auto is {fast.precision}, {workers} workers"
    about += ", tiny sizes, which measure nothing" if arguments.tiny else ""
    print(f"{about}\n\n{HEADER}", flush=True)
    seconds: dict[str, float] = {}

    def keep() -> None:
        kept = {"about": about, "device": name, "seconds": seconds, "rows": PRINTED}
        write_bytes(arguments.json, json.dumps(kept, indent=1).encode())

    if arguments.json:
        WATCHERS.append(keep)
    end = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(fast, full, workers, TINY if arguments.tiny else Sizes(), Path(folder))
        for part in arguments.parts:
            begun = time.monotonic()
            if begun > end:
                row(part, "", "left out", "", "the minutes were over")
                continue
            try:
                PARTS[part](setting)
            except Exception as error:
                traceback.print_exc()
                row(part, "", "failed", "", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            seconds[part] = round(time.monotonic() - begun, 1)
            if cuda:
                torch.cuda.empty_cache()
    if arguments.json:
        keep()


if __name__ == "__main__":
    main()
