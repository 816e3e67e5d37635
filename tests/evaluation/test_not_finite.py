"""Logits that are not finite are no prediction: the image and the layer, or the weight, are named."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import segtrain
from segtrain.commands.prediction import ImagePredictor
from segtrain.contracts import Sample
from segtrain.engine import checkpoint
from segtrain.engine.device import Compute
from segtrain.errors import DivergedError, NotFinite
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Ensemble, Predictor
from segtrain.inference import Whole
from segtrain.inference.sliding import Sliding

NAMES = ("dark", "bright")
FIRST = "score32.weight"  # of the tiny run's network
GREYS = (10, 200, 30)  # of which 200 overflows


class Overflow(nn.Module):
    """Two logits that leave float32 where an image is bright."""

    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(3, 2, 1)
        nn.init.constant_(self.score.weight, 1e36)

    def forward(self, images):
        return {"out": self.score(images.float())}


class Greys(torch.utils.data.Dataset):
    def __init__(self, greys=GREYS):
        self.greys = greys

    def __len__(self):
        return len(self.greys)

    def __getitem__(self, index):
        image = np.full((64, 64, 3), self.greys[index], np.uint8)
        return Sample(image, np.zeros((64, 64), np.uint8), f"grey{self.greys[index]}")


def predictor(device, inference=None):
    return Predictor(Overflow().to(device).eval(), inference or Whole(), Compute(device, "32"))


def spoil(image, probabilities):
    return probabilities


@pytest.mark.parametrize("crf", [None, spoil])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_evaluation_names_the_image_and_the_layer(device, batch_size, crf):
    words = r"^grey200: the network's logits are not finite; first so is the output of score \(Conv2d\)"
    with pytest.raises(NotFinite, match=words):
        evaluate_split(
            predictor(device), Greys(), NAMES, device, EvaluationSettings(batch_size=batch_size), crf=crf
        )
    evaluate_split(predictor(device), Greys((10, 30)), NAMES, device, EvaluationSettings(), crf=crf)


def test_windows_and_ensembles_are_looked_at_too(device):
    windows = Sliding(window=32, stride=32)
    with pytest.raises(NotFinite, match=r"^grey200: "):
        evaluate_split(predictor(device, windows), Greys(), NAMES, device, EvaluationSettings())
    both = Ensemble([predictor(device), predictor(device)])
    with pytest.raises(NotFinite, match=r"^grey200: "):
        evaluate_split(both, Greys(), NAMES, device, EvaluationSettings())


def test_a_single_prediction_is_refused_and_the_next_one_is_not(device):
    predict = ImagePredictor(predictor(device), None)
    grey, bright, _ = (sample.image for sample in map(Greys().__getitem__, range(3)))
    with pytest.raises(NotFinite, match=r"^b: the network's"):
        predict.many([grey, bright], ["a", "b"])
    assert not predict(grey, "a").labels.any()
    with pytest.raises(NotFinite, match=r"^image: the network's"):
        segtrain.predict(Overflow().to(device), bright)


def test_logits_whose_sum_alone_is_too_large_are_taken(device):
    network = predictor(device)
    nn.init.constant_(network.model.score.weight, 3e35)  # 64·64·2 logits of 1.8e38
    evaluate_split(network, Greys((200,)), NAMES, device, EvaluationSettings())


def test_a_weight_that_is_not_finite_is_named_before_any_image(device):
    network = predictor(device)
    network.model.score.weight.data[0, 0] = torch.nan
    with pytest.raises(DivergedError, match=r"weights are not finite \(score.weight\)"):
        evaluate_split(network, Greys(), NAMES, device, EvaluationSettings())


@pytest.fixture
def spoilt(tiny):
    """The checkpoint of a tiny run with its weights changed."""

    def call(change):
        path = tiny().folder / "checkpoints/best.ckpt"
        saved = checkpoint.load(path)
        tensors = {name: change(name, value) for name, value in saved.tensors.items()}
        checkpoint.save(checkpoint.Checkpoint(tensors, saved.meta), path)
        return path

    return call


def test_commands_say_it_in_a_line(spoilt, run, tmp_path):
    nan = spoilt(lambda name, value: value * torch.nan if name == f"model.{FIRST}" else value)
    done = run("segeval", f"ckpt={nan}", "device=cpu", "num_workers=0")
    assert done.code == 3, done.err
    assert f"segeval: the weights are not finite ({FIRST})" in done.err
    assert "Traceback" not in done.err
    huge = spoilt(lambda name, value: value * 1e30 if name.endswith(".weight") else value)
    (tmp_path / "in").mkdir()
    for grey in GREYS[:2]:
        Image.new("RGB", (32, 32), (grey,) * 3).save(tmp_path / f"in/grey{grey}.png")
    done = run("segpredict", f"ckpt={huge}", f"input={tmp_path}/in", "device=cpu", "precision=32")
    assert done.code == 2, done.err
    assert "grey10: the network's logits are not finite; first so is the output of " in done.err
    assert not list(done.folder.rglob("*.png"))
