import math

import pytest
import torch

from segtrain.losses import CrossEntropy


def test_the_loss_is_a_sum_over_valid_pixels_and_counts_them():
    loss = CrossEntropy(weights={"out": 1.0})
    logits = torch.zeros(1, 2, 1, 3)
    masks = torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    assert loss({"out": logits}, masks).item() == pytest.approx(2 * math.log(2))
    assert loss.count(masks).item() == 2


def test_ignored_pixels_do_not_count():
    loss = CrossEntropy(weights={"out": 1.0})
    logits = torch.tensor([[[[5.0, -3.0]], [[0.0, 7.0]]]])
    one = loss({"out": logits[..., :1]}, torch.tensor([[[1]]], dtype=torch.uint8))
    both = loss({"out": logits}, torch.tensor([[[1, 255]]], dtype=torch.uint8))
    assert both.item() == one.item()


def test_a_batch_of_void_alone_gives_zero_and_finite_gradients():
    loss = CrossEntropy(weights={"out": 1.0})
    logits = torch.rand(1, 2, 2, 2, requires_grad=True)
    masks = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    value = loss({"out": logits}, masks) / loss.count(masks).clamp(min=1)
    value.backward()
    assert value.item() == 0
    assert logits.grad.eq(0).all()


def test_auxiliary_outputs_enter_with_their_weights():
    out, masks = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.uint8)
    loss = CrossEntropy(weights={"out": 1.0, "aux": 0.4})
    assert loss({"out": out, "aux": out}, masks).item() == pytest.approx(1.4 * math.log(2))


def test_the_unnormalised_loss_is_divided_by_pictures():
    loss = CrossEntropy(weights={"out": 1.0}, normalize="pictures")
    assert loss.count(torch.zeros(3, 4, 4, dtype=torch.uint8)).item() == 3


def test_labels_are_taken_at_the_cells_of_coarse_logits_and_counted_there():
    loss = CrossEntropy(weights={"out": 1.0}, label_stride=8)
    masks = torch.full((1, 17, 9), 255, dtype=torch.uint8)
    masks[0, ::8, ::8] = 1  # all that is seen
    logits = torch.zeros(1, 2, 3, 2)
    logits[:, 1] = 5
    assert loss.count(masks).item() == 6
    assert loss({"out": logits}, masks).item() == pytest.approx(6 * math.log(1 + math.exp(-5)), rel=1e-5)
