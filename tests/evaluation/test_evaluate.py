import threading

import numpy as np
import pytest
import torch
from torch import nn

from segtrain import sizes
from segtrain.contracts import RefinesBatches, Sample
from segtrain.crf.on_device import DeviceCrf
from segtrain.engine.device import Compute
from segtrain.evaluation import evaluate as evaluation
from segtrain.evaluation.evaluate import EvaluationSettings
from segtrain.evaluation.pipeline import one_later
from segtrain.evaluation.predictor import Ensemble, Predict, Predictor, evaluating
from segtrain.inference import Whole
from segtrain.inference.rows import rows_of
from segtrain.metrics.bf_score import BFScore
from segtrain.metrics.calibration import Calibration

CPU = torch.device("cpu")
NAMES = ("dark", "bright", "never")


class Images(torch.utils.data.Dataset):
    """Images of two sizes, whose right half is bright and annotated so, one column ignored."""

    sizes = ((4, 6), (4, 6), (3, 8))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        height, width = self.sizes[index]
        mask = np.zeros((height, width), np.uint8)
        mask[:, width // 2 :] = 1
        image = np.repeat(mask[..., None] * 255, 3, 2)
        mask[:, 0] = 255
        return Sample(image, mask, str(index))


class Threshold(nn.Module):
    """Predicts `bright` where the image is; at half the size, as coarse networks do."""

    def __init__(self, stride=1):
        super().__init__()
        self.stride = stride

    def forward(self, images):
        bright = images[:, :1, :: self.stride, :: self.stride].float() / 255
        return {"out": torch.cat([1 - bright, bright, torch.full_like(bright, -9)], 1)}


def evaluate(*arguments, **keys):
    """The result in the form of metrics.json."""
    return evaluation.evaluate_split(*arguments, **keys).as_json()


def predictor(stride=1, device=CPU):
    return Predictor(Threshold(stride).eval(), Whole(), Compute(device, "32"))


def test_a_perfect_model_has_perfect_metrics_and_ignored_pixels_counts_nowhere(device):
    metrics = evaluate(predictor(device=device), Images(), NAMES, device, EvaluationSettings(batch_size=2))
    assert metrics["mean_iou"] == metrics["pixel_accuracy"] == 1
    assert set(metrics["per_class"]["never"].values()) == {None}
    assert metrics["images"] == 3
    assert np.sum(metrics["confusion_matrix"]) == 4 * 5 * 2 + 3 * 7


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_metrics_do_not_depend_on_the_batch_size(device, batch_size):
    metrics = evaluate(
        predictor(2, device), Images(), NAMES, device, EvaluationSettings(batch_size=batch_size)
    )
    one = evaluate(predictor(2, device), Images(), NAMES, device, EvaluationSettings())
    assert metrics["confusion_matrix"] == one["confusion_matrix"]


def test_coarse_logits_are_brought_to_the_images_size(device):
    black = Sample(np.zeros((5, 7, 3), np.uint8), np.zeros((5, 7), np.uint8), "black")
    probabilities = predictor(2, device)([black]).cpu()
    assert probabilities.shape == (1, 3, 5, 7)
    assert torch.allclose(probabilities.sum(1), torch.ones(1, 5, 7))


def test_with_a_crf_both_metrics_are_there(device):
    def spoil(image, probabilities):
        return probabilities[[1, 0, 2]]

    watched = []
    metrics = evaluate(
        predictor(device=device),
        Images(),
        NAMES,
        device,
        EvaluationSettings(),
        crf=spoil,
        on_image=watched.append,
    )
    assert metrics["mean_iou"] == 0
    assert metrics["without_crf"]["mean_iou"] == 1
    assert [image.position for image in watched] == [0, 1, 2]
    assert (watched[0].network != watched[0].crf).any()
    assert sum(image.matrices[1] for image in watched).tolist() == metrics["confusion_matrix"]


def test_extra_metrics_are_taken_of_the_network_and_of_the_crf(device):
    def spoil(image, probabilities):
        return probabilities[[1, 0, 2]]

    def extra():
        return [BFScore(), Calibration()]

    metrics = evaluate(
        predictor(device=device), Images(), NAMES, device, EvaluationSettings(), crf=spoil, make_metrics=extra
    )
    assert metrics["without_crf"]["bf_score"] == 1
    # Confident and wrong everywhere: Threshold's logits 1 and 0 make 0.73.
    assert metrics["calibration_error"] == pytest.approx(0.731, abs=1e-3)
    assert metrics["without_crf"]["calibration_error"] == pytest.approx(1 - 0.731, abs=1e-3)


@pytest.mark.parametrize("inference", [Whole(), lambda network, images, names: network(images)])
@pytest.mark.parametrize("values", [1, 1 << 16])
def test_labels_are_the_most_probable_classes_by_every_way_of_inference(
    device, inference, values, monkeypatch
):
    monkeypatch.setattr(sizes, "VALUES", values)
    predict = Predictor(Threshold(2).eval(), inference, Compute(device, "32"))
    samples = [Images()[0], Images()[1]]
    labels = predict.labels(samples)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), predict(samples).argmax(1))


class Counting(Predictor):
    """A predictor that knows how often its probabilities were wanted."""

    calls = 0

    def __call__(self, samples):
        self.calls += 1
        return super().__call__(samples)


@pytest.mark.parametrize("extra", [list, lambda: [Calibration()]])
@pytest.mark.parametrize("crf", [None, lambda image, probabilities: probabilities])
def test_all_the_probabilities_are_made_only_where_the_crf_needs_them(device, extra, crf):
    predict = Counting(Threshold().eval(), Whole(), Compute(device, "32"))
    evaluate(predict, Images(), NAMES, device, EvaluationSettings(), make_metrics=extra, crf=crf)
    assert predict.calls == (3 if crf else 0)


def test_a_label_comes_with_its_probability(device):
    samples = [Images()[0], Images()[1]]
    labels, confidence = predictor(2, device).confident_labels(samples)
    probabilities = predictor(2, device)(samples)
    assert torch.equal(labels.long(), probabilities.argmax(1))
    assert torch.equal(confidence, probabilities.amax(1))


def test_a_model_is_given_back_in_the_mode_it_came():
    model = Threshold().train()
    with evaluating(model):
        assert not model.training
    assert model.training


def test_each_item_comes_once_the_next_one_is_there():
    asked = []
    items = one_later(asked.append(i) or i for i in range(3))
    assert [(item, len(asked)) for item in items] == [(0, 2), (1, 3), (2, 3)]


def test_a_crf_that_refines_batches_where_they_are_gives_what_it_gives_of_arrays(device):
    crf = DeviceCrf(
        iterations=2,
        gaussian={"sxy": 1, "compat": 3},
        bilateral={"sxy": 3, "srgb": 90, "compat": 2},
        backend="torch",
    )
    assert isinstance(crf, RefinesBatches)
    seen, once = {}, Images()
    for name, refine in (("batches", crf), ("arrays", lambda *arrays: crf(*arrays))):
        images = []
        metrics = evaluate(
            predictor(2, device),
            once,
            NAMES,
            device,
            EvaluationSettings(2),
            crf=refine,
            on_image=images.append,
        )
        seen[name] = metrics, [image.crf.tolist() for image in images]
    del seen["batches"][0]["seconds"], seen["arrays"][0]["seconds"]
    assert seen["batches"] == seen["arrays"]


class Constant(Predict):
    """A predictor that gives one distribution everywhere."""

    def __init__(self, *probabilities):
        self.probabilities = torch.tensor(probabilities).view(1, -1, 1, 1)

    def rows(self, samples):
        return rows_of(self.probabilities.expand(len(samples), -1, *samples[0].mask.shape))


@pytest.mark.parametrize(
    ("combine", "expected"),
    [("mean", [0.4, 0.5, 0.1]), ("product", [0.12 / 0.34, 0.21 / 0.34, 0.01 / 0.34])],
)
def test_an_ensemble_gives_the_mean_or_the_normalised_product(combine, expected):
    ensemble = Ensemble([Constant(0.6, 0.3, 0.1), Constant(0.2, 0.7, 0.1)], combine)
    assert ensemble([Images()[0]])[0, :, 0, 0].tolist() == pytest.approx(expected)


def test_members_that_exclude_every_class_together_leave_all_as_likely():
    ensemble = Ensemble([Constant(1.0, 0.0), Constant(0.0, 1.0)], "product")
    assert ensemble([Images()[0]])[0, :, 0, 0].tolist() == [0.5, 0.5]


def test_the_network_works_on_the_next_image_while_the_crf_refines_the_one_before(device):
    second_image, waited = threading.Event(), []

    class Watched(Predictor):
        def __call__(self, samples):
            if samples[0].name == "1":
                second_image.set()
            return super().__call__(samples)

    def wait(image, probabilities):
        waited.append(second_image.wait(5))
        return probabilities

    network = Watched(Threshold().eval(), Whole(), Compute(device, "32"))
    metrics = evaluate(network, Images(), NAMES, device, EvaluationSettings(), crf=wait)
    assert waited == [True, True, True]
    assert metrics["mean_iou"] == metrics["without_crf"]["mean_iou"] == 1
