"""Runs resumed with other keys than before: each is refused by its name, or said."""

import random
import shutil
from pathlib import Path

from scripts.stress._command import TINY, Command, Outcome

PROMISE = "A resume with another seed, model, data, loss, optimizer, ... is refused by name, or said"
FULL, SAMPLE = 80, 1

RUN = [*TINY, "val_every=2", "schedule=poly", "optimizer=sgd", "augment=flip", "loss=[cross_entropy,dice]"]
# Overrides, none of them what the run had, and the keys that are to be named.
FIXED = {
    "seed={n}": "seed",
    "width=0.125": "width",
    "model=fcn32s": "model",
    "model.batch_norm=true": "model.batch_norm",
    "data.seed={n}": "data.seed",
    "data.size=48": "data.size",
    "data.train_images={n}": "data.train_images",
    "data.val_images=2": "data.val_images",
    "loss=[dice]": "loss",
    "loss=[cross_entropy,focal]": "loss",
    "loss.dice.weight=0.{n}": "loss.dice.weight",
    "optimizer=adamw": "optimizer",
    "optimizer.momentum=0": "optimizer.momentum",
    "optimizer.nesterov=true": "optimizer.nesterov",
    "schedule=cosine": "schedule",
    "augment=scale_crop": "augment",
    "augment.flip.p=0.0{n}": "augment.flip.p",
    "crops=objects": "crops",
    "batch_size={n}": "must have 2 images as before",
    "accumulate={n}": "must have 2 images as before",
    "max_steps=1": "max_steps",
}
SAID = {
    "optimizer.lr=0.0{n}": "optimizer.lr",
    "optimizer.weight_decay=0.0{n}": "optimizer.weight_decay",
    "schedule.power=0.0{n}": "schedule.power",
    "val_every={n}": "val_every",
    "clip_norm={n}": "clip_norm",
    "max_steps={n}": "max_steps",
}


def run(count: int, seed: int, folder: Path) -> str:
    rng = random.Random(seed)
    before = Command("segtrain", [*RUN, "max_steps=2", "hydra.run.dir=run"], folder).finish()
    assert before.code == 0, before.err
    refused = 0
    for case in range(count):
        here = folder / str(case)
        shutil.copytree(folder / "run", here / "run")
        fixed = rng.sample(sorted(FIXED), rng.choice((0, 1, 1, 2)))
        said = rng.sample(sorted(SAID), rng.choice((1, 2)))
        chosen = [name.format(n=rng.randint(3, 9)) for name in [*fixed, *said]]
        words = without_repeats(chosen)
        how = rng.choice((["resume=run", "hydra.run.dir=next"], ["resume=auto", "hydra.run.dir=run"]))
        if how[0] == "resume=auto":
            own = {word.partition("=")[0] for word in words}
            words = [*(word for word in RUN if word.partition("=")[0] not in own), *words]
        if not any(w.startswith("max_steps=") for w in words):
            words.append("max_steps=4")
        outcome = Command("segtrain", [*words, *how], here).finish()
        what = f"case {case}, seed {seed}: {' '.join([*words, *how])}"
        assert "Traceback" not in outcome.err, f"{outcome.err}: {what}"
        given = {w.partition("=")[0] for w in words}
        wrong = [key for name, key in FIXED.items() if name in fixed and name.partition("=")[0] in given]
        check(outcome, wrong, [SAID[name] for name in said], here, folder / "run", what)
        refused += bool(wrong)
        shutil.rmtree(here)
    return f"{count} of {count}: {refused} refused by name, {count - refused} went on and said what differs"


def without_repeats(words: list[str]) -> list[str]:
    """The first override of every key."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(word.partition("=")[0], word)
    return list(found.values())


def check(outcome: Outcome, wrong: list[str], said: list[str], here: Path, before: Path, what: str) -> None:
    """Raises AssertionError where a resume was not refused, or did not say what differs."""
    if not wrong:
        assert outcome.code == 0, f"exit code {outcome.code}, {outcome.err}: {what}"
        for key in said:
            assert f"resume: {key} was " in outcome.out, f"{key} is not said: {outcome.out}: {what}"
        return
    assert outcome.code == 2, f"exit code {outcome.code}, {outcome.err}{outcome.out}: {what}"
    assert any(key in outcome.err for key in wrong), f"{outcome.err} names none of {wrong}: {what}"
    for name in ("last.ckpt", "best.ckpt"):
        kept = (here / "run/checkpoints" / name).read_bytes()
        assert kept == (before / "checkpoints" / name).read_bytes(), f"{name} was changed: {what}"
    assert not (here / "next").exists(), f"a folder is left: {what}"
