"""Trains each model for a few steps and prints what each took: survey.py MODEL[,MODEL...] [key=value ...]

`survey.py all data=camvid data.root=DIR width=0.25 max_steps=200`: a row a model with its parameters,
seconds a step, peak memory, the loss at the start and at the end, and the mean IoU.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from segtrain.config.compose import CONFIG_DIR

ROW = "| {:<24} | {:>12} | {:>7} | {:>8} | {:>15} | {:>8} |"


def main(names: str, overrides: list[str]) -> None:
    zoo = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml"))
    print(ROW.format("model", "parameters", "s/step", "peak GiB", "loss", "mean IoU"))
    print(ROW.format(*["---"] * 6))
    for name in zoo if names == "all" else names.split(","):
        print(survey(name, overrides), flush=True)


def survey(name: str, overrides: list[str]) -> str:
    """A run of one model in a process of its own; the row of its metrics."""
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/output", "w") as output:
        command = [f"model={name}", "log_every=1", f"hydra.run.dir={folder}", *overrides]
        run = subprocess.Popen([sys.executable, "-m", "segtrain", *command], stdout=output, stderr=output)
        _, status, usage = os.wait4(run.pid, 0)
        if os.waitstatus_to_exitcode(status):
            last = Path(folder, "output").read_text().strip().splitlines()[-1]
            return f"| {name} | {last} |"
        metrics = json.loads(Path(folder, "metrics.json").read_text())
        lines = map(json.loads, Path(folder, "metrics.jsonl").read_text().splitlines())
        steps = [line for line in lines if line["split"] == "train"]
    tenth = max(len(steps) // 10, 1)
    start, end = (sum(s["loss"] for s in part) / tenth for part in (steps[:tenth], steps[-tenth:]))
    seconds = sorted(step["seconds_per_step"] for step in steps)[len(steps) // 2]
    return ROW.format(
        name,
        f"{metrics['parameters']:,}",
        f"{seconds:.2f}",
        f"{usage.ru_maxrss / 2**20:.1f}",
        f"{start:.3f} → {end:.3f}",
        f"{100 * (metrics['mean_iou'] or 0):.1f}",
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
