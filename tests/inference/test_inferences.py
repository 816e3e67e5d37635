"""Inferences, on networks whose scores are the image's own values or made up."""

import pytest
import torch

from segtrain.errors import InputError
from segtrain.inference import DeconvNetWindows, Dihedral, Scaled, Watershed, Whole
from segtrain.metrics.neurites import components
from tests.inference.applied import applied


def brightness(images):
    """Two classes: the first channel, and 0."""
    return torch.cat([images[:, :1].float(), torch.zeros_like(images[:, :1], dtype=torch.float32)], 1)


def proposals(tmp_path, *lines):
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(["name,x,y,width,height,score", *lines]) + "\n")
    return str(path)


def test_a_whole_image_is_the_networks_own_answer():
    images = torch.rand(2, 3, 5, 7)
    assert torch.equal(applied(Whole(), brightness, images), brightness(images))


@pytest.mark.parametrize("aggregate", ["max", "mean"])
def test_a_constant_image_has_constant_scores_at_its_own_size(aggregate):
    images = torch.full((2, 3, 150, 130), 7, dtype=torch.uint8)
    scores = applied(DeconvNetWindows(side=32, aggregate=aggregate, smallest=20), brightness, images)
    assert scores.shape == (2, 2, 150, 130)
    assert torch.allclose(scores[:, 0], torch.tensor(7.0))


@pytest.mark.parametrize("key", ["side", "limit", "smallest", "batch_size"])
def test_windows_need_numbers_above_zero(key):
    with pytest.raises(InputError, match=rf"inference\.{key}=0; give at least 1"):
        DeconvNetWindows(**{key: 0})


def test_windows_cover_every_pixel_and_are_put_back_where_they_came_from():
    ramp = torch.arange(160.0).expand(1, 3, 120, 160)
    scores = applied(DeconvNetWindows(side=224, aggregate="mean"), brightness, ramp)
    assert (scores[0, 0, :, 8:-8] - ramp[0, 0, :, 8:-8]).abs().max() < 1.0


@pytest.mark.parametrize(("aggregate", "expected"), [("max", 20.0), ("mean", 15.0)])
def test_overlapping_windows_give_the_maximum_or_the_mean(tmp_path, aggregate, expected):
    answers = iter([10.0, 20.0])
    boxes = proposals(tmp_path, "image,0,0,20,20,0.9", "image,10,0,20,20,0.8")
    windows = DeconvNetWindows(side=8, aggregate=aggregate, boxes=boxes, smallest=1, batch_size=1)
    scores = applied(windows, lambda _: torch.full((1, 1, 8, 8), next(answers)), torch.zeros(1, 3, 20, 40))
    assert scores[0, 0, 0].tolist() == [10.0] * 10 + [expected] * 10 + [20.0] * 10 + [0.0] * 10


def test_the_best_boxes_are_taken_and_small_ones_left_out(tmp_path):
    boxes = proposals(tmp_path, "image,0,0,10,10,0.1", "image,10,0,10,10,0.9", "image,20,0,2,10,0.95")
    windows = DeconvNetWindows(side=8, boxes=boxes, smallest=5, limit=1)
    scores = applied(windows, lambda images: torch.ones(len(images), 1, 8, 8), torch.zeros(1, 3, 10, 30))
    assert scores[0, 0, 0].tolist() == [0.0] * 10 + [1.0] * 10 + [0.0] * 10


def test_a_image_smaller_than_the_smallest_window_is_one_window():
    scores = applied(DeconvNetWindows(side=8, smallest=112), brightness, torch.ones(1, 3, 9, 9))
    assert torch.allclose(scores[:, 0], torch.tensor(1.0))


def test_a_image_without_boxes_is_named(tmp_path):
    windows = DeconvNetWindows(boxes=proposals(tmp_path, "other,0,0,9,9,1"))
    with pytest.raises(InputError, match=r"got none for image"):
        applied(windows, brightness, torch.zeros(1, 3, 9, 9))


def test_the_network_sees_the_scaled_image_and_its_scores_are_enlarged_again():
    sizes = []

    def network(images):
        sizes.append(images.shape[-2:])
        return brightness(images)

    ramp = torch.arange(64.0).expand(1, 3, 21, 64)
    scores = applied(Scaled(scale=0.25), network, ramp)
    assert sizes == [(5, 16)]
    assert scores.shape == (1, 2, 21, 64)
    assert torch.allclose(scores[0, 0, :, 2:-2], ramp[0, 0, :, 2:-2])
    for scale in (0, -1, float("inf"), float("nan")):
        with pytest.raises(InputError, match=r"inference\.scale must be a finite number above 0, got .*"):
            Scaled(scale=scale)


def two_classes(seen):
    """A network whose second class has the logit that `seen` makes of the image."""
    return lambda images: torch.stack([torch.zeros_like(images[:, 0]), seen(images)], 1)


def test_averaging_over_the_rotations_of_the_image_changes_nothing_where_the_network_rotations_along():
    images = torch.rand(2, 3, 5, 8)
    network = two_classes(lambda images: images[:, 0] - 2 * images[:, 1])
    averaged = applied(Dihedral(), network, images)
    assert torch.allclose(averaged.softmax(1), network(images).softmax(1), atol=1e-6)


def test_each_turn_is_undone_before_it_is_averaged():
    """The network looks at the pixel above: averaged, at every neighbour twice of eight times."""
    images = torch.zeros(1, 3, 5, 7)
    images[0, 0, 2, 3] = 4.0
    above = two_classes(lambda images: images[:, 0].roll(1, 1))
    mean = applied(Dihedral(), above, images).softmax(1)[0, 1]
    once, expected = torch.tensor(4.0).sigmoid(), torch.full((5, 7), 0.5)
    for neighbour in ((1, 3), (3, 3), (2, 2), (2, 4)):
        expected[neighbour] = (2 * once + 6 * 0.5) / 8
    assert torch.allclose(mean, expected, atol=1e-6)


def test_probabilities_are_averaged_and_not_logits():
    answers = iter([100.0] + [-1.0] * 7)
    network = two_classes(lambda images: torch.full_like(images[:, 0], next(answers)))
    mean = applied(Dihedral(), network, torch.zeros(1, 3, 2, 2)).softmax(1)[0, 1]
    assert torch.allclose(mean, (1 + 7 * torch.tensor(-1.0).sigmoid()) / 8)


def gap():
    """Membrane probabilities 33×41: a wall between two cells with a faint gap."""
    membrane = torch.full((33, 41), 0.05)
    membrane[:, 19:22] = 0.9
    membrane[14:19, 19:22] = 0.45
    return membrane


@pytest.mark.parametrize("membrane", [0, 1])
def test_cells_with_a_gap_between_them_are_said_apart(membrane):
    probabilities = torch.stack([gap(), 1 - gap()] if membrane == 0 else [1 - gap(), gap()])[None]
    fusion = Watershed(base=Whole(), membrane=membrane)
    fused = applied(fusion, lambda _: probabilities.log(), torch.zeros(1, 3, 33, 41)).softmax(1)
    assert torch.allclose(fused.sum(1), torch.ones(33, 41))
    for before, after in zip(probabilities[0], fused[0], strict=True):
        assert (before - after).abs().max() <= 0.2 + 1e-6
    cells = [components((p[0, 1 - membrane] > 0.5).numpy()).max() for p in (probabilities, fused)]
    assert cells == [1, 2]


def test_a_weight_of_one_leaves_the_probabilities_and_extremes_stay_finite():
    probabilities = torch.stack([gap().round(), 1 - gap().round()])[None]
    fusion = Watershed(base=Whole(), weight=1.0)
    fused = applied(fusion, lambda _: 1e4 * probabilities, torch.zeros(1, 3, 33, 41))
    assert fused.isfinite().all()
    assert torch.allclose(fused.softmax(1), probabilities)


def test_a_fusion_of_membranes_refuses_other_weights_and_classes():
    with pytest.raises(InputError, match=r"inference\.sigma=-1; give 0 or more"):
        Watershed(base=Whole(), sigma=-1)
    with pytest.raises(InputError, match=r"inference\.weight must be"):
        Watershed(base=Whole(), weight=2)
    with pytest.raises(InputError, match="2 classes, membrane and cell, got 3 classes; use inference=whole"):
        applied(Watershed(base=Whole()), lambda _: torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
