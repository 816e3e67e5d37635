"""Eight images in one batch, or in several batches and ranks: one gradient."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from scripts.stress._processes import Ranks
from segtrain import optim, schedules
from segtrain.contracts import IGNORE_INDEX
from segtrain.distributed import process_group
from segtrain.engine import step
from segtrain.engine.device import Compute
from segtrain.engine.state import TrainSettings, TrainState
from segtrain.losses.composite import CompositeLoss
from segtrain.losses.cross_entropy import CrossEntropy

PROMISE = (
    "The same gradient on 1, 2 and 4 ranks and with 1, 2 and 4 batches a step, with uneven ignored pixels and"
    " batches of ignored pixels alone: within 1e-6 (float32) and 1e-12 (float64), always finite"
)
FULL, SAMPLE = 20, 2
IMAGES, CLASSES = 8, 4
SPLITS = [(ranks, batches) for ranks in (1, 2, 4) for batches in (1, 2, 4) if ranks * batches <= IMAGES]
ALLOWED = {torch.float32: 1e-6, torch.float64: 1e-12}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.score = nn.Conv2d(8, CLASSES, 1)

    def forward(self, images):
        x = images.to(self.score.weight.dtype) / 255
        return {"out": self.score(self.backbone(x))}


def run(count: int, seed: int, folder: Path) -> str:
    gradients = {}
    for ranks in (1, 2, 4):
        started = Ranks(work, (count, seed, str(folder)), folder / str(ranks), ranks=ranks)
        assert started.codes(240) == [0] * ranks, started.said(0)
        gradients |= torch.load(folder / f"{ranks}.pt")
    worst = dict.fromkeys(ALLOWED, 0.0)
    for (case, dtype, *split), gradient in gradients.items():
        whole = gradients[case, dtype, 1, 1]
        what = f"case {case}, seed {seed}, {dtype}, {split[0]} ranks × {split[1]} batches"
        assert gradient.isfinite().all(), f"{what}: not finite"
        error = ((gradient - whole).norm() / whole.norm().clamp(min=1e-30)).item()
        assert error <= ALLOWED[dtype], f"{what}: relative error {error:.1e}"
        worst[dtype] = max(worst[dtype], error)
    largest = ", ".join(f"{error:.1e} ({str(dtype)[6:]})" for dtype, error in worst.items())
    return f"{len(gradients)} gradients, the largest relative errors {largest}"


def work(count: int, seed: int, folder: str) -> None:
    """Every case's gradient in this many ranks, by (case, dtype, ranks, batches)."""
    with process_group.join(torch.device("cpu")):
        ranks, gradients = process_group.world_size(), {}
        for case in range(count):
            images, masks = eight_images(case, seed)
            for dtype in ALLOWED:
                for batches in (p for r, p in SPLITS if r == ranks):
                    gradients[case, dtype, ranks, batches] = gradient(images, masks, dtype, batches, folder)
        if process_group.rank() == 0:
            torch.save(gradients, f"{folder}/{ranks}.pt")


def eight_images(case: int, seed: int) -> tuple[Tensor, Tensor]:
    """uint8 8×3×H×W and 8×H×W; each mask has its own share of ignored pixels, in some all are."""
    rng = np.random.default_rng([seed, case])
    images = rng.integers(0, 256, (IMAGES, 3, 12, 12), np.uint8)
    masks = rng.integers(0, CLASSES, (IMAGES, 12, 12), np.uint8)
    shares = np.where(rng.random(IMAGES) < 0.4, 1.0, rng.random(IMAGES) ** 0.5)
    if case % 5 == 4:
        shares[:] = 1.0  # the whole step
    elif case % 5 == 3:
        shares[: IMAGES // 2] = 1.0  # the first of two ranks or batches
    masks[rng.random(masks.shape) < shares[:, None, None]] = IGNORE_INDEX
    return torch.from_numpy(images), torch.from_numpy(masks)


def gradient(images: Tensor, masks: Tensor, dtype: torch.dtype, batches: int, folder: str) -> Tensor:
    """What a step's optimizer gets, flat."""
    torch.manual_seed(0)
    net = Net().to(dtype)
    size = IMAGES // (process_group.world_size() * batches)
    values = dict.fromkeys((field.name for field in dataclasses.fields(TrainSettings)), 0)
    run = TrainState(
        model=net,
        loss=CompositeLoss({"cross_entropy": CrossEntropy(weights={"out": 1.0})}),
        optimizer=optim.sgd(net, lr=0.1),
        schedule=schedules.Poly(),
        compute=Compute(torch.device("cpu"), "32"),
        settings=TrainSettings(**values | {"batch_size": size, "accumulate": batches}),
        meta={},
    )
    seen = []
    parameters = list(net.parameters())
    run.optimizer.register_step_pre_hook(lambda *_: seen.append([p.grad.flatten() for p in parameters]))
    indices = [p * process_group.world_size() + process_group.rank() for p in range(batches)]
    own = [slice(index * size, (index + 1) * size) for index in indices]
    step.train_step(run, [(images[s], masks[s], []) for s in own], Path(folder))
    return torch.cat(seen[0]).clone()
