"""Windows put together, on networks whose scores are the picture's own values."""

import pytest
import torch

from segtrain.errors import InputError
from segtrain.inference import Whole, Windows

NAMES = ["picture"]


def brightness(images):
    """Two classes: the first channel, and 0."""
    return torch.cat([images[:, :1].float(), torch.zeros_like(images[:, :1], dtype=torch.float32)], 1)


def proposals(tmp_path, *lines):
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(["name,x,y,width,height,score", *lines]) + "\n")
    return str(path)


def test_a_whole_picture_is_the_networks_own_answer():
    images = torch.rand(2, 3, 5, 7)
    assert torch.equal(Whole()(brightness, images, ["a", "b"]), brightness(images))


@pytest.mark.parametrize("aggregate", ["max", "mean"])
def test_a_constant_picture_has_constant_scores_at_its_own_size(aggregate):
    images = torch.full((2, 3, 150, 130), 7, dtype=torch.uint8)
    scores = Windows(side=32, aggregate=aggregate, smallest=20)(brightness, images, ["a", "b"])
    assert scores.shape == (2, 2, 150, 130)
    assert torch.allclose(scores[:, 0], torch.tensor(7.0))


def test_windows_cover_every_pixel_and_are_put_back_where_they_came_from():
    ramp = torch.arange(160.0).expand(1, 3, 120, 160)
    scores = Windows(side=224, aggregate="mean")(brightness, ramp, NAMES)
    assert (scores[0, 0, :, 8:-8] - ramp[0, 0, :, 8:-8]).abs().max() < 1.0


@pytest.mark.parametrize(("aggregate", "expected"), [("max", 20.0), ("mean", 15.0)])
def test_overlapping_windows_give_the_maximum_or_the_mean(tmp_path, aggregate, expected):
    answers = iter([10.0, 20.0])
    boxes = proposals(tmp_path, "picture,0,0,20,20,0.9", "picture,10,0,20,20,0.8")
    windows = Windows(side=8, aggregate=aggregate, boxes=boxes, smallest=1, batch_size=1)
    scores = windows(lambda images: torch.full((1, 1, 8, 8), next(answers)), torch.zeros(1, 3, 20, 40), NAMES)
    assert scores[0, 0, 0].tolist() == [10.0] * 10 + [expected] * 10 + [20.0] * 10 + [0.0] * 10


def test_the_best_boxes_are_taken_and_small_ones_left_out(tmp_path):
    boxes = proposals(tmp_path, "picture,0,0,10,10,0.1", "picture,10,0,10,10,0.9", "picture,20,0,2,10,0.95")
    windows = Windows(side=8, boxes=boxes, smallest=5, limit=1)
    scores = windows(lambda images: torch.ones(len(images), 1, 8, 8), torch.zeros(1, 3, 10, 30), NAMES)
    assert scores[0, 0, 0].tolist() == [0.0] * 10 + [1.0] * 10 + [0.0] * 10


def test_a_picture_smaller_than_the_smallest_window_is_one_window():
    scores = Windows(side=8, smallest=112)(brightness, torch.ones(1, 3, 9, 9), NAMES)
    assert torch.allclose(scores[:, 0], torch.tensor(1.0))


def test_a_picture_without_boxes_is_named(tmp_path):
    windows = Windows(boxes=proposals(tmp_path, "other,0,0,9,9,1"))
    with pytest.raises(InputError, match=r"boxes\.csv: no boxes for picture"):
        windows(brightness, torch.zeros(1, 3, 9, 9), NAMES)
