"""The zoo with `deterministic=true`, each model trained twice in processes of their own."""

import random
from pathlib import Path

import torch

from scripts.stress._processes import Ranks, segtrain
from segtrain.config.compose import CONFIG_DIR
from segtrain.engine.checkpoint import LAST, load

PROMISE = "`deterministic=true` gives the same weights twice (on the CPU)"
FULL, SAMPLE = len(list((CONFIG_DIR / "model").glob("*.yaml"))), 1


def run(count: int, seed: int, folder: Path) -> str:
    models = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*.yaml"))
    without = []
    for model in random.Random(seed).sample(models, count):
        one, other = (weights(model, folder / f"{model}{i}") for i in (1, 2))
        if one is None or other is None:
            without.append(model)
            continue
        for name, tensor in one.items():
            assert torch.equal(tensor, other[name]), f"model={model}: {name} differs"
    left_out = f"; not tried, for want of its extra: {', '.join(without)}" if without else ""
    return f"{count - len(without)} of {count} models bit-equal{left_out}"


def weights(model: str, folder: Path) -> dict[str, torch.Tensor] | None:
    """What a training ends with; None where the model needs an extra that is not installed."""
    arguments = f"model={model} deterministic=true max_steps=2 num_workers=0 data.val_images=1".split()
    started = Ranks(segtrain, ([*arguments, f"hydra.run.dir={folder}/run"],), folder)
    codes, said = started.codes(300), started.said(0)
    if codes == [2] and f"model={model}: " in said and "is not installed" in said:
        return None
    assert codes == [0], f"model={model}: {said}"
    return load(folder / "run/checkpoints" / LAST).tensors
