"""Runs and sweeps that are started in one second in one folder, with and without a folder of their own."""

import json
import random
import shutil
from pathlib import Path

import yaml

from scripts.stress._command import TINY, Command

PROMISE = "Runs and sweeps started in one second never share a folder; one folder given twice takes one run"
FULL, SAMPLE = 40, 1
RUN = [*TINY, "max_steps=2", "val_every=2", "log_every=1"]


def run(count: int, seed: int, folder: Path) -> str:
    rng, alike = random.Random(seed), 0
    kinds = {"runs": 0, "sweeps": 0, "one folder": 0}
    for case in range(count):
        kind = rng.choice(sorted(kinds)) if count > SAMPLE else "runs"
        here, together = folder / str(case), rng.choice((2, 3))
        seeds = [100 * (i + 1) + case for i in range(together)]
        what = f"case {case}, seed {seed}: {together} {kind}"
        if kind == "sweeps":
            alike += sweeps(seeds, here, what)
        else:
            alike += runs(seeds, here, what, given=kind == "one folder")
        kinds[kind] += 1
        shutil.rmtree(here)
    of = ", ".join(f"{number} times {kind}" for kind, number in kinds.items() if number)
    return f"{count} of {count} ({of}); {alike} met in one second, none shared a folder"


def start(arguments: list[list[str]], here: Path) -> list[Command]:
    """Commands that all run in one folder at once."""
    started = []
    for i, words in enumerate(arguments):
        started.append(Command("segtrain", words, here / f"output{i}", before=In(here)))
    return started


class In:
    """Goes to a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self) -> None:
        import os

        os.chdir(self.folder)


def runs(seeds: list[int], here: Path, what: str, *, given: bool) -> int:
    """Gives how many had to take another name for their folder."""
    own = ["hydra.run.dir=run"] if given else []
    outcomes = [c.finish() for c in start([[*RUN, f"seed={seed}", *own] for seed in seeds], here)]
    codes = [outcome.code for outcome in outcomes]
    said = "".join(outcome.err for outcome in outcomes)
    assert "Traceback" not in said, f"{said}: {what}"
    if given:
        assert sorted(codes) == [0] + [2] * (len(seeds) - 1), f"exit codes {codes}: {said}: {what}"
        complaints = [outcome.err for outcome in outcomes if outcome.code]
        assert all("run: " in one for one in complaints), f"{complaints} do not name the folder: {what}"
        whole(here / "run", seeds[codes.index(0)], what)
        return len(seeds)
    assert codes == [0] * len(seeds), f"exit codes {codes}: {said}: {what}"
    folders = sorted(path.parent for path in here.glob("outputs/*/*/config.yaml"))
    assert len(folders) == len(seeds), f"{len(folders)} folders: {what}"
    found = {yaml.safe_load((one / "config.yaml").read_text())["seed"]: one for one in folders}
    assert set(found) == set(seeds), f"seeds {sorted(found)}: {what}"
    for seed, one in found.items():
        whole(one, seed, what)
    return sum(one.name.count("_") > 1 for one in folders)


def sweeps(seeds: list[int], here: Path, what: str) -> int:
    own = [["-m", *RUN, f"seed={seed},{seed + 50}"] for seed in seeds]
    outcomes = [command.finish() for command in start(own, here)]
    said = "".join(outcome.err for outcome in outcomes)
    assert [outcome.code for outcome in outcomes] == [0] * len(seeds), f"{said}: {what}"
    tables = sorted(here.glob("outputs/multirun/*/comparison.csv"))
    assert len(tables) == len(seeds), f"{len(tables)} tables: {what}"
    for table in tables:
        folders = sorted(path.parent for path in table.parent.glob("*/config.yaml"))
        numbers = sorted(yaml.safe_load((one / "config.yaml").read_text())["seed"] for one in folders)
        assert numbers in [[seed, seed + 50] for seed in seeds], f"a sweep holds the seeds {numbers}: {what}"
        for one, number in zip(folders, numbers, strict=True):
            whole(one, number, what)
    return sum(table.parent.name.count("_") > 1 for table in tables)


def whole(folder: Path, seed: int, what: str) -> None:
    """Raises AssertionError where a folder does not hold all of one run, and nothing of another."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["seed"] == seed, f"{folder}: the config has the seed {config['seed']}: {what}"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["split"] == "train"]
    assert steps == [1, 2], f"{folder}: steps {steps}: {what}"
    assert (folder / "metrics.json").is_file(), f"{folder}: no metrics.json: {what}"
    events = len(list(folder.glob("events.out.tfevents*")))
    assert events == 1, f"{folder}: {events} files of events: {what}"
