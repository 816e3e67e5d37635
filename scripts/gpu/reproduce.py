"""`make reproduce-gpu`: FC-DenseNet56 on CamVid as the paper trained it, as far as the minutes go, and a
network that learns faster; each scored on the validation split and, where it is there, on the test split.

A few steps are timed first; the schedule is then the paper's over as many steps as fit. The paper's mean IoU
on test, 58.9, is of 92,250 steps and a second phase on whole images; `command` is that of the whole.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from segtrain.files import write_bytes

STEPS = 92_250  # 750 epochs of 123 steps, whose rate is multiplied by 0.995 an epoch
PROBE = 60  # steps that are timed
SIDES = ("pad.min_height", "pad.min_width", "crop.height", "crop.width")


class Candidate(NamedTuple):
    """A training, and its share of the minutes."""

    name: str
    keys: list[str]
    share: float
    paper: float | None  # mean IoU on test


CANDIDATES = [
    Candidate(
        "fc_densenet56",
        ["experiment=fc_densenet103_camvid", "model=fc_densenet56", "model.batch_statistics=true"],
        0.65,
        58.9,
    ),
    Candidate(
        "unet",
        ["model=unet", "model.batch_norm=true", "data=camvid", "augment=crop", "batch_size=16",
         "optimizer=adamw", "optimizer.lr=0.002", "schedule=poly"],
        0.35,
        None,
    ),
]  # fmt: skip


def run(command: str, *keys: str) -> None:
    """Runs a command of segtrain; its output goes on. Raises RuntimeError where it fails."""
    done = subprocess.run([sys.executable, "-m", "segtrain", *([command] if command else []), *keys])
    if done.returncode:
        raise RuntimeError(f"segtrain {command} left with {done.returncode}: {' '.join(keys)}")


def reproduced(
    candidate: Candidate, common: list[str], root: Path, folder: Path, seconds: float, probed: int
) -> dict:
    """Trains for so many seconds, start and validation included, and gives the row of the result."""
    start, out = time.monotonic(), folder / candidate.name
    keys = [*candidate.keys, *common]
    probe = [f"max_steps={probed}", f"val_every={probed}", f"log_every={-(-probed // 3)}"]
    run("", *keys, *probe, f"hydra.run.dir={out}_probe")
    took, per_step, validation = time.monotonic() - start, *_speeds(out.with_name(f"{out.name}_probe"))
    validations = 6
    left = seconds - 2 * took - (validations + 2) * validation  # a second start, and the scores
    steps = max(int(left / per_step), probed)
    schedule = [f"schedule.gamma={0.995 ** (STEPS / steps):.6f}"] if candidate.paper else []
    whole = [f"max_steps={steps}", f"val_every={-(-steps // validations)}", f"checkpoint_every={steps}"]
    begun = time.monotonic()
    run("", *keys, *schedule, *whole, f"hydra.run.dir={out}")
    row = {"model": candidate.name, "steps": steps, "minutes": (time.monotonic() - begun) / 60}
    row |= {"seconds_per_step": per_step, "paper_test": candidate.paper, "of_steps": STEPS}
    for split in ("val", "test"):
        if (root / f"{split}.txt").is_file():
            scored = folder / f"{candidate.name}_{split}"
            run("eval", f"ckpt={out}", *common[1:], f"data.val_split={split}", "precision=32",
                f"hydra.run.dir={scored}")  # fmt: skip
            row[split] = 100 * json.loads((scored / "metrics.json").read_text())["mean_iou"]
    row["command"] = " ".join(["segtrain", *candidate.keys, "data.root=DIR"])
    if (out / "results.png").is_file():
        shutil.copyfile(out / "results.png", folder / f"{candidate.name}.png")
    return row


def _speeds(folder: Path) -> tuple[float, float]:
    """Seconds of a step after the first ones, and of a validation."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["seconds_per_step"] for line in lines if line["split"] == "train"]
    return steps[-1], json.loads((folder / "metrics.json").read_text())["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CamVid's folder")
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("outputs/reproduce_gpu"))
    parser.add_argument("--tiny", action="store_true", help="networks that a CPU trains in seconds")
    arguments = parser.parse_args()
    workers = 0 if arguments.tiny else 8
    common = [f"data.root={arguments.data}", f"device={arguments.device}", f"num_workers={workers}"]
    rows = []
    for candidate in CANDIDATES:
        if arguments.tiny:
            small = ["width=0.0625"] if candidate.name == "unet" else ["model.growth_rate=2"]
            small += ["batch_size=2", *(f"augment.{side}=32" for side in SIDES)]
            candidate = candidate._replace(keys=[*candidate.keys, *small])
        seconds, probed = 60 * arguments.minutes * candidate.share, 3 if arguments.tiny else PROBE
        rows.append(reproduced(candidate, common, arguments.data, arguments.out, seconds, probed))
        print(json.dumps(rows[-1], indent=1), flush=True)
        write_bytes(arguments.out / "reproduce.json", json.dumps(rows, indent=1).encode())


if __name__ == "__main__":
    main()
