"""`task=binary` is the softmax of two classes with logits (0, z); `task=multilabel` one for each class."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.commands.build import build_loss
from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.task import with_task
from segtrain.contracts import Sample
from segtrain.crf import dense_crf
from segtrain.data.datasets.one_hot import OneHot
from segtrain.data.datasets.shapes import Shapes
from segtrain.engine.device import Compute
from segtrain.errors import InputError
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Ensemble, Predictor
from segtrain.inference import Dihedral, MultiScale, Sliding, Whole
from segtrain.metrics.average_precision import AveragePrecision
from segtrain.metrics.per_class import PerClass
from segtrain.tasks import Task

CPU = Compute(torch.device("cpu"), "32")
NAMES = ("ground", "object")
OPTIONS = sorted(
    path.stem
    for path in (CONFIG_DIR / "loss").glob("*.yaml")
    if path.stem not in ("aux", "dcn", "deeplabv2", "deeplab", "segnet", "segnet_camvid")
)


@cache
def config_of(option: str):
    return plain(compose_config("train", [f"loss={option}", "data.num_classes=2"]))


class OneLogit(nn.Module):
    """One logit, at half the image's size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 1, 3, 2, 1)

    def forward(self, images):
        return {"out": self.conv(images.float() / 64 - 2)}


class TwoLogits(OneLogit):
    """The same network with logits (0, z)."""

    def forward(self, images):
        z = super().forward(images)["out"]
        return {"out": torch.cat([torch.zeros_like(z), z], 1)}


class Noise(torch.utils.data.Dataset):
    """Three images of noise with ignored pixels; objects are redder."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        mask = np.kron(rng.integers(0, 2, (3, 3)), np.ones((3, 5))).astype(np.uint8)[:, :13]
        image = rng.integers(0, 160, (9, 13, 3)).astype(np.uint8)
        image[..., 0] += 90 * mask
        mask[0] = 255
        return Sample(image, mask, str(index))


def predictor(model, task=None, inference=None):
    return Predictor(model.eval(), inference or Whole(), CPU, task or Task())


def evaluated(predict, **keys):
    return evaluate_split(predict, Noise(), NAMES, torch.device("cpu"), EvaluationSettings(2), **keys)


def crf(image, probabilities):
    return dense_crf(image, probabilities, iterations=2, backend="torch")


@pytest.mark.parametrize(
    "inference",
    [None, Sliding(window=5, stride=3), MultiScale(scales=[0.5, 1.0]), Dihedral()],
    ids=["whole", "sliding", "multi_scale", "dihedral"],
)
def test_binary_has_the_confusion_matrix_of_two_logits(inference):
    one = evaluated(predictor(OneLogit(), Task("binary"), inference), crf=crf)
    two = evaluated(predictor(TwoLogits(), None, inference), crf=crf)
    assert one.network.confusion_matrix == two.network.confusion_matrix
    assert one.crf.confusion_matrix == two.crf.confusion_matrix
    assert min(np.ravel(one.network.confusion_matrix)) > 0


@pytest.mark.parametrize("option", OPTIONS)
def test_binary_has_the_gradients_of_two_logits(option):
    config = config_of(option)
    images = torch.stack([torch.from_numpy(Noise()[i].image) for i in range(3)]).permute(0, 3, 1, 2)
    masks = torch.stack([torch.from_numpy(Noise()[i].mask) for i in range(3)])
    gradients = []
    for model, task in ((OneLogit(), "binary"), (TwoLogits(), "softmax")):
        loss = build_loss(config | {"task": task})
        (loss(model(images), masks) / loss.count(masks)).sum().backward()
        gradients.append(model.conv.weight.grad)
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, rtol=1e-6, atol=1e-9)


def test_the_losses_of_one_logit_are_torchs_binary_cross_entropy():
    masks = torch.stack([torch.from_numpy(Noise()[i].mask) for i in range(3)])
    z = torch.randn(3, 1, 9, 13, generator=torch.Generator().manual_seed(0))
    known = masks != 255
    expected = F.binary_cross_entropy_with_logits(z[:, 0][known], masks[known].float()).item()
    for option in ("cross_entropy", "bce"):
        config = config_of(option)
        loss = build_loss(config | {"task": "binary"})
        value = (loss({"out": z}, masks) / loss.count(masks)).sum().item()
        assert value == pytest.approx(expected, rel=1e-6)


def test_labels_are_where_the_probability_is_above_the_threshold():
    p = torch.tensor([0.2, 0.4, 0.6, 0.8]).view(1, 1, 1, 4)
    probabilities = torch.cat([1 - p, p], 1)
    for threshold, expected in ((0.5, [0, 0, 1, 1]), (0.3, [0, 1, 1, 1]), (0.7, [0, 0, 0, 1])):
        task = Task("binary", threshold)
        labels = task.labels(probabilities)
        assert labels.flatten().tolist() == expected
        confidence = task.confidence(probabilities, labels).flatten().tolist()
        assert confidence == pytest.approx(
            [p if c else 1 - p for p, c in zip((0.2, 0.4, 0.6, 0.8), expected, strict=True)]
        )
        assert task.image_labels(probabilities[0].numpy()).ravel().tolist() == expected


def test_a_chosen_threshold_has_the_scores_that_it_then_gives():
    metrics = {"make_metrics": lambda: [AveragePrecision(num_classes=2)]}
    biased = OneLogit()
    with torch.no_grad():
        biased.conv.weight[0, 0] += 0.3
        biased.conv.bias += 4.0
    settings = EvaluationSettings(2, choose_threshold=True)
    chosen = evaluate_split(
        predictor(biased, Task("binary")), Noise(), NAMES, torch.device("cpu"), settings, **metrics
    ).network
    threshold = chosen.extra["threshold"]
    assert threshold != 0.5
    again = evaluated(predictor(biased, Task("binary", threshold)), **metrics).network
    assert again.confusion_matrix == chosen.confusion_matrix
    assert again.extra == chosen.extra
    at_half = evaluated(predictor(biased, Task("binary")), **metrics).network
    assert chosen.extra["iou"] > at_half.extra["iou"]
    assert chosen.extra["dice"] == chosen.per_class["object"]["dice"]


def test_an_ensemble_of_one_and_two_logits_is_that_of_two():
    both = Ensemble([predictor(OneLogit(), Task("binary")), predictor(TwoLogits())])
    assert (
        evaluated(both).network.confusion_matrix == evaluated(predictor(TwoLogits())).network.confusion_matrix
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=binary"], "task=binary: data must have 2 classes, background and object, got 7"),
        (["threshold=0.3"], "threshold=0.3: task=softmax takes the most probable class"),
        (["threshold=auto"], "threshold=auto: task=softmax chooses none"),
        (
            ["task=binary", "data.num_classes=2", "threshold=1.5"],
            "threshold must be between 0 and 1, got 1.5",
        ),
        (["task=binary", "data.num_classes=2", "model=fcn8s_crf"], "the model's CRF works on the logits of"),
        (
            ["task=multilabel", "crf=true"],
            "crf=true: the CRF gives every pixel one class, but task=multilabel",
        ),
        (["task=multilabel", "inference=watershed"], "Watershed gives a pixel one class"),
        (
            ["task=multilabel", "loss=segnet"],
            "loss.cross_entropy.class_weights: task=multilabel has a yes or no",
        ),
        (["task=multilabel", "crops=objects"], "crops=: task=multilabel takes whole images"),
    ],
)
def test_what_does_not_fit_a_task_is_refused_by_name(overrides, message):
    with pytest.raises(InputError) as error:
        with_task(plain(compose_config("train", overrides)))
    assert message in str(error.value)


class ThreeLogits(nn.Module):
    """Three logits at half the image's size, and those of one of them alone."""

    def __init__(self, only: int | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.only = nn.Conv2d(3, 3, 3, 2, 1), only

    def forward(self, images):
        z = self.conv(images.float() / 64 - 2)
        return {"out": z if self.only is None else z[:, self.only : self.only + 1]}


class Several(Noise):
    """The same images with three labels a pixel, or one of them alone."""

    def __init__(self, only: int | None = None):
        self.only = only

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        masks = [sample.mask, np.roll(sample.mask, 4, 1), np.zeros_like(sample.mask)]
        mask = np.stack(masks, -1) if self.only is None else masks[self.only]
        return sample._replace(mask=mask)


@pytest.mark.parametrize(
    "inference",
    [None, Sliding(window=5, stride=3), MultiScale(scales=[0.5, 1.0]), Dihedral()],
    ids=["whole", "sliding", "multi_scale", "dihedral"],
)
def test_multilabel_has_the_confusion_matrices_of_each_class_as_binary(inference):
    device, settings, names = torch.device("cpu"), EvaluationSettings(2), ("a", "b", "never")
    predict = predictor(ThreeLogits(), Task("multilabel", 0.6), inference)
    curves = {"make_metrics": lambda: [PerClass(lambda: AveragePrecision(num_classes=2), names)]}
    several = evaluate_split(predict, Several(), names, device, settings, **curves).network
    for c, name in enumerate(names):
        one = predictor(ThreeLogits(c), Task("binary", 0.6), inference)
        curve = {"make_metrics": lambda: [AveragePrecision(num_classes=2)]}
        binary = evaluate_split(one, Several(c), NAMES, device, settings, **curve).network
        assert several.confusion_matrix[c] == binary.confusion_matrix
        own = binary.per_class["object"]
        assert several.per_class[name] == own
        assert several.extra["average_precision"][name] == binary.extra["average_precision"]
    assert several.several_labels
    ious = [values["iou"] for values in several.per_class.values() if values["iou"] is not None]
    assert several.mean_iou == pytest.approx(np.mean(ious))


@pytest.mark.parametrize("option", OPTIONS)
def test_multilabel_has_the_gradients_of_every_class_as_binary(option):
    config = config_of(option)
    samples = [Several()[i] for i in range(3)]
    masks = torch.stack([torch.from_numpy(sample.mask) for sample in samples]).movedim(3, 1)
    z = torch.randn(3, 3, 9, 13, generator=torch.Generator().manual_seed(0), requires_grad=True)
    several = build_loss(config | {"task": "multilabel"})
    (several({"out": z}, masks) / several.count(masks)).sum().backward()
    binary, total = build_loss(config | {"task": "binary"}), 0.0
    ones = z.detach().clone().requires_grad_()
    for c in range(3):
        total = total + binary({"out": ones[:, c : c + 1]}, masks[:, c])
    (total / several.count(masks)).sum().backward()
    assert torch.allclose(z.grad, ones.grad, rtol=1e-5, atol=1e-8)
    assert z.grad.abs().max() > 0


def test_class_indices_become_a_yes_or_no_for_each_class():
    data = OneHot(Shapes(num_classes=7, size=32, train_images=2, val_images=1))
    mask, indices = data.train[0].mask, data.data.train[0].mask
    assert mask.shape == (32, 32, 7)
    known = indices != 255
    assert np.array_equal(mask[known].argmax(-1), indices[known])
    assert (mask[known].sum(-1) == 1).all()
    assert (mask[~known] == 255).all()


@pytest.mark.parametrize("model", ["unet", "deeplabv3plus", "fcn8s"])
def test_binary_gives_a_model_one_logit(model):
    config = plain(compose_config("train", [f"model={model}", "task=binary", "data.num_classes=2"]))
    assert with_task(config)["model"]["num_classes"] == 1
    assert config["model"]["num_classes"] == 2
