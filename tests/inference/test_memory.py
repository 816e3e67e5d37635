"""How much of a large image's scores exists at a time: never all of them where strips serve."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from segtrain.contracts import Sample
from segtrain.engine.device import Compute
from segtrain.evaluation.predictor import Ensemble, Predictor
from segtrain.inference import DeepLabCrop, MultiScale, OverlapTile, Scaled, Sliding, Whole, rows

CLASSES, SIDE = 21, 300
ALL = CLASSES * SIDE * SIDE  # scores of the whole image
CPU = Compute(torch.device("cpu"), "32")


class Coarse(nn.Module):
    """A network whose logits have a stride of 8, as DeepLab's and PSPNet's."""

    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(3, CLASSES, 8, stride=8, padding=4)

    def forward(self, images):
        return {"out": self.score(images.float())}


class Largest(TorchDispatchMode):
    """Knows the largest map of all classes that was made, in elements."""

    elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        made = function(*arguments, **(keywords or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.ndim == 4 and tensor.shape[1] == CLASSES:
                self.elements = max(self.elements, tensor.numel())
        return made


def predictor(inference):
    torch.manual_seed(0)
    return Predictor(Coarse().eval(), inference, CPU)


@pytest.fixture
def image(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 16)  # blocks in proportion to the image
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return Sample(image, np.zeros((SIDE, SIDE), np.uint8), "image")


def sliding():
    return Sliding(window=40, stride=40)


INFERENCES = {
    "whole": Whole,
    "scaled": lambda: Scaled(scale=0.5),
    "sliding": sliding,
    "multi_scale": lambda: MultiScale(scales=[0.5, 1.0, 1.5]),
    "pspnet": lambda: MultiScale(scales=[0.5, 1.0, 1.5], base=sliding()),
    "deeplab": lambda: DeepLabCrop(crop=320),
    "overlap_tile": lambda: OverlapTile(tile=64, margin=16),
}


@pytest.mark.parametrize("way", INFERENCES.values(), ids=INFERENCES)
def test_labels_and_confidence_come_without_all_the_scores(image, way):
    predict = predictor(way())
    with Largest() as largest:
        labels, confidence = predict.confident_labels([image])
    assert largest.elements <= 0.3 * ALL
    probabilities = predict([image])
    assert probabilities.shape == (1, CLASSES, SIDE, SIDE)
    assert torch.equal(labels.long(), probabilities.argmax(1))
    assert torch.equal(confidence, probabilities.amax(1))


def test_an_ensemble_needs_no_more(image):
    ensemble = Ensemble([predictor(sliding()), predictor(MultiScale(scales=[0.5, 1.0]))])
    with Largest() as largest:
        labels = ensemble.labels([image])
    assert largest.elements <= 0.3 * ALL
    assert torch.equal(labels.long(), ensemble([image]).argmax(1))


def test_all_the_scores_would_have_been_noticed(image):
    with Largest() as largest:
        predictor(sliding())([image])
    assert largest.elements == ALL
