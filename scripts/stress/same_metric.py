"""Every number of images on every number of ranks: one confusion matrix."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from scripts.stress._processes import Ranks
from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.distributed import process_group
from segtrain.engine.device import Compute
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Predictor
from segtrain.inference import Whole

PROMISE = "The same metric on N ranks: 1 to 17 images on 1 to 4 ranks give one confusion matrix"
FULL, SAMPLE = 17, 3
CLASSES = ("sky", "road", "tree", "car", "sign")
CPU = Compute(torch.device("cpu"), "32")


class Noise(Dataset):
    """Random images and masks with ignored pixels, of three sizes."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        height, width = 16 + 4 * rng.integers(0, 3, 2)
        mask = rng.choice([*range(len(CLASSES)), IGNORE_INDEX], (height, width)).astype(np.uint8)
        return Sample(rng.integers(0, 256, (height, width, 3), np.uint8), mask, str(index))


class Strided(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(3, len(CLASSES), 3, stride=2, padding=1)

    def forward(self, images):
        return {"out": self.score(images.float() / 255)}


def run(count: int, seed: int, folder: Path) -> str:
    matrices = {}
    for ranks in (1, 2, 3, 4):
        started = Ranks(work, (count, seed, str(folder)), folder / str(ranks), ranks=ranks)
        assert started.codes(240) == [0] * ranks, started.said(0)
        for rank in range(ranks):
            matrices[ranks, rank] = torch.load(folder / f"{ranks}.{rank}.pt")
    for (ranks, rank), own in matrices.items():
        for length, (matrix, alone) in enumerate(zip(own, matrices[1, 0], strict=True), 1):
            what = f"{length} images, rank {rank} of {ranks}, seed {seed}"
            assert torch.equal(matrix, alone), f"{what}: the confusion matrix differs"
            assert matrix.sum() > 0, f"{what}: nothing was counted"
    return f"{4 * count} of {4 * count} identical in every cell"


def work(count: int, seed: int, folder: str) -> None:
    torch.manual_seed(seed)
    predict = Predictor(Strided().eval(), Whole(), CPU)
    with process_group.join(CPU.device):
        matrices = []
        for length in range(1, count + 1):
            settings = EvaluationSettings(batch_size=1 + length % 3)
            result = evaluate_split(predict, Noise(length, seed), CLASSES, CPU.device, settings)
            matrices.append(torch.tensor(result.network.confusion_matrix))
        torch.save(matrices, f"{folder}/{process_group.world_size()}.{process_group.rank()}.pt")
