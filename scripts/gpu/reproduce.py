"""`make reproduce-gpu`: FC-DenseNet56 on CamVid as the paper trained it, as far as the minutes go, and a
network that learns faster; each scored on the validation split and, where it is there, on the test split.

A few steps are timed first; the schedule is then the paper's over as many steps as fit. The paper's mean IoU
on test, 58.9, is of 92,250 steps and a second phase on whole images; `command` is that of the whole. What
there is of a training that fails or is stopped stays in the results.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from segtrain.files import write_bytes

STEPS = 92_250  # 750 epochs of 123 steps, whose rate is multiplied by 0.995 an epoch
PROBE = 60  # steps that are timed
VALIDATIONS = 6
STEADY = 0.9  # of the time that is left: a schedule must come to its end, and the probe was short
SPARE = 25.0  # seconds of a limit from outside
LEAVING = 15.0  # seconds for a training that is asked to end, which saves
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


def run(command: str, *keys: str, until: float) -> bool:
    """Runs a command of segtrain; its output goes on.

    Args:
        until: of `time.monotonic`; then the command is asked to end.

    Returns:
        Whether it came to its end.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen([sys.executable, "-m", "segtrain", *([command] if command else []), *keys])
    try:
        code = process.wait(max(1.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(LEAVING)
            except subprocess.TimeoutExpired:
                process.kill()
    if code:
        raise RuntimeError(f"segtrain {command} left with {code}: {' '.join(keys)}")
    return True


def reproduced(
    row: dict, candidate: Candidate, common: list[str], root: Path, folder: Path, until: float, probed: int
) -> None:
    """Trains until then, start and validation included, and writes the result into the row."""
    start, out, keys = time.monotonic(), folder / candidate.name, [*candidate.keys, *common]
    row["command"] = " ".join(["segtrain", *candidate.keys, "data.root=DIR"])
    probe, tried = (
        [f"max_steps={probed}", f"val_every={probed}", f"log_every={-(-probed // 3)}"],
        f"{out}_probe",
    )
    if not run("", *keys, *probe, f"hydra.run.dir={tried}", until=until):
        raise RuntimeError(f"{probed} steps and a validation take longer than there is")
    took, per_step, validation = time.monotonic() - start, *_speeds(out.with_name(f"{out.name}_probe"))
    scores = 2 * (took - probed * per_step)  # each has a start and a validation
    left = until - time.monotonic() - scores - (took - probed * per_step) - VALIDATIONS * validation
    steps = max(int(STEADY * left / per_step), probed)
    row |= {"steps": steps, "done": 0, "seconds_per_step": per_step, "of_steps": STEPS}
    schedule = [f"schedule.gamma={0.995 ** (STEPS / steps):.6f}"] if candidate.paper else []
    whole = [f"max_steps={steps}", f"val_every={-(-steps // VALIDATIONS)}", f"checkpoint_every={steps}"]
    begun = time.monotonic()
    try:
        run("", *keys, *schedule, *whole, f"hydra.run.dir={out}", until=until - scores)
    finally:
        row["minutes"] = (time.monotonic() - begun) / 60
        _note_curve(row, out)
        if (out / "results.png").is_file():
            shutil.copyfile(out / "results.png", folder / f"{candidate.name}.png")
    if "val" not in row:
        raise RuntimeError("stopped before its first validation")
    for split in ("val", "test"):
        if (root / f"{split}.txt").is_file():
            scored = folder / f"{candidate.name}_{split}"
            if run("eval", f"ckpt={out}/checkpoints/best.ckpt", *common[1:], f"data.val_split={split}",
                   "precision=32", f"hydra.run.dir={scored}", until=until):  # fmt: skip
                row[split] = 100 * json.loads((scored / "metrics.json").read_text())["mean_iou"]


def _note_curve(row: dict, folder: Path) -> None:
    """What a training has logged, also one that did not end: its validations, and how far it came."""
    if not (folder / "metrics.jsonl").is_file():
        return
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    row["curve"] = [[line["step"], 100 * line["mean_iou"]] for line in lines if line["split"] == "val"]
    row["done"] = max((line["step"] for line in lines), default=0)
    if row["curve"]:
        row["val"] = max(score for _, score in row["curve"])


def _speeds(folder: Path) -> tuple[float, float]:
    """Seconds of a step after the first ones, and of a validation."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["seconds_per_step"] for line in lines if line["split"] == "train"]
    return steps[-1], json.loads((folder / "metrics.json").read_text())["seconds"]


def smaller(candidate: Candidate) -> Candidate:
    """What a CPU trains in seconds."""
    small = ["width=0.0625"] if candidate.name == "unet" else ["model.growth_rate=2"]
    return candidate._replace(
        keys=[*candidate.keys, *small, "batch_size=2", *(f"augment.{side}=32" for side in SIDES)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CamVid's folder")
    limit = float(os.environ.get("PART_SECONDS", 450 + SPARE))
    parser.add_argument("--minutes", type=float, default=(limit - SPARE) / 60)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("outputs/reproduce_gpu"))
    parser.add_argument("--tiny", action="store_true", help="networks that a CPU trains in seconds")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    workers = 0 if arguments.tiny else "auto"
    common = [f"data.root={arguments.data}", f"device={arguments.device}", f"num_workers={workers}"]
    end, shares, rows = time.monotonic() + 60 * arguments.minutes, 1.0, []
    for candidate in CANDIDATES:
        now = time.monotonic()
        until, shares = now + (end - now) * candidate.share / shares, shares - candidate.share
        rows.append({"model": candidate.name, "paper_test": candidate.paper})
        probed = 3 if arguments.tiny else PROBE
        try:
            chosen = smaller(candidate) if arguments.tiny else candidate
            reproduced(rows[-1], chosen, common, arguments.data, arguments.out, until, probed)
        except (RuntimeError, OSError, LookupError, ValueError) as error:
            rows[-1]["failed"] = " ".join(str(error).split())[:300]
        finally:
            print(json.dumps(rows[-1], indent=1), flush=True)
            write_bytes(arguments.out / "reproduce.json", json.dumps(rows, indent=1).encode())
    if any("failed" in row for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
