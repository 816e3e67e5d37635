"""A network that overflows at a step and in a layer of its own in every case, through the real command."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import torch

from scripts.stress._command import TINY, Command
from segtrain.engine.checkpoint import LAST, load

PROMISE = "A loss that is not finite stops the run at that step, names images and layer, and spoils nothing"
FULL, SAMPLE = 30, 2
STEPS, EVERY = 12, 2
LARGEST = 3e38


def run(count: int, seed: int, folder: Path) -> str:
    rng = np.random.default_rng(seed)
    for i in range(count):
        here, step = folder / str(i), int(rng.integers(1, STEPS + 1))
        layer = int(rng.integers(0, 6))
        case = f"convolution {layer} overflows at step {step}, case {i}, seed {seed}"
        overrides = [*TINY, f"max_steps={STEPS}", f"checkpoint_every={EVERY}", "log_every=50", f"seed={i}"]
        before = partial(spoil, step, layer)
        stopped = Command("segtrain", [*overrides, "hydra.run.dir=run"], here, before=before).finish()
        assert stopped.code == 3, f"exit code {stopped.code}: {stopped.err}, {case}"
        assert "Traceback" not in stopped.err, f"{stopped.err}, {case}"
        named = re.search(
            r"at step (\d+) \(learning rate [\d.e-]+; images train_\d+, train_\d+\)", stopped.err
        )
        assert named, f"{stopped.err}, {case}"
        assert int(named[1]) == step, f"{stopped.err}, {case}"
        last = here / "run/checkpoints" / LAST
        kept = load(last).meta["step"] if last.exists() else 0
        assert kept == (step - 1) // EVERY * EVERY, f"the last checkpoint is of step {kept}: {case}"
        if last.exists():
            finite = all(t.isfinite().all() for t in load(last).tensors.values())
            assert finite, f"the last checkpoint is not finite: {case}"
        again = Command("segtrain", ["replay=run/diverged.ckpt", "device=cpu"], here).finish()
        assert again.code == 0, f"{again.err}, {case}"
        name = (here / "spoiled.txt").read_text()
        assert f"the output of {name} " in again.out, f"{again.out} does not name {name}: {case}"
    return f"{count} of {count} stopped at the very step with code 3; the replay named the layer each time"


def spoil(step: int, layer: int) -> None:
    """In the run's process: before that step the n-th convolution's weights become so large that its
    output overflows, though they are finite themselves."""
    from segtrain.engine import train

    whole_step = train.train_step

    def spoiled_step(run: train.TrainState, *rest) -> list[float]:
        if run.step + 1 == step:
            name, module = convolutions(run.model)[layer]
            with torch.no_grad():
                module.weight.fill_(LARGEST)
                module.bias.fill_(LARGEST)
            Path("spoiled.txt").write_text(name)
        return whole_step(run, *rest)

    train.train_step = spoiled_step


def convolutions(model: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    return [(name, m) for name, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)]
