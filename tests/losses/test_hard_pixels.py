import math

import pytest
import torch

from segtrain.errors import InputError
from segtrain.losses.bootstrapped import Bootstrapped
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.losses.ohem import OHEM


def bootstrapped(pixels, logits, masks):
    """The sum, and what it is divided by."""
    loss = Bootstrapped(weights={"out": 1.0}, pixels=pixels)
    return loss({"out": logits}, masks).item(), loss.count(masks).item()


# Two classes, all labels 0: the loss of a pixel is log(1 + e^x) of its second logit x.
ROWS = torch.tensor([[0.0, 1.0, 2.0, 3.0], [4.0, 3.0, -9.0, -9.0]])
LOGITS = torch.stack([torch.zeros(2, 4), ROWS], 1).unsqueeze(2)  # 2 images of 1×4 pixels


def softplus(*values):
    return sum(math.log(1 + math.exp(v)) for v in values)


def test_the_hardest_pixels_of_each_image_are_taken():
    masks = torch.zeros(2, 1, 4, dtype=torch.uint8)
    value, count = bootstrapped(2, LOGITS, masks)
    assert value == pytest.approx(softplus(3, 2) + softplus(4, 3))
    assert count == 4


def test_ignored_pixels_are_never_the_hardest_and_fill_up_at_no_loss():
    masks = torch.tensor([[[0, 0, 0, 255]], [[0, 255, 255, 255]]], dtype=torch.uint8)
    value, count = bootstrapped(2, LOGITS, masks)
    assert value == pytest.approx(softplus(2, 1) + softplus(4))
    assert count == 4


def test_a_image_smaller_than_the_number_of_pixels_is_averaged_whole():
    masks = torch.zeros(2, 1, 4, dtype=torch.uint8)
    value, count = bootstrapped(32768, LOGITS, masks)
    assert value == pytest.approx(CrossEntropy(weights={"out": 1.0})({"out": LOGITS}, masks).item())
    assert count == 8


def test_only_the_hardest_pixels_have_a_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss = Bootstrapped(weights={"out": 0.5}, pixels=1)
    loss({"out": logits}, torch.zeros(2, 1, 4, dtype=torch.uint8)).backward()
    assert logits.grad[:, 1].flatten().nonzero().flatten().tolist() == [3, 4]
    assert logits.grad[0, 1, 0, 3].item() == pytest.approx(0.5 / (1 + math.exp(-3)))


# Probabilities of the true class 0 of four pixels, and a fifth that is ignored.
SURE = torch.tensor([0.6, 0.7, 0.9, 0.99, 0.01])
SURE_LOGITS = {"out": torch.stack([SURE, 1 - SURE]).log().view(1, 2, 1, 5)}
SURE_MASKS = torch.tensor([[[0, 0, 0, 0, 255]]], dtype=torch.uint8)


@pytest.mark.parametrize(
    ("threshold", "min_kept", "kept"),
    [
        (0.65, 1, [0.6]),
        (0.65, 3, [0.6, 0.7, 0.9]),
        (0.95, 1, [0.6, 0.7, 0.9]),
        (0.65, 99, [0.6, 0.7, 0.9, 0.99]),
    ],
)
def test_unsure_pixels_are_averaged_and_at_least_the_hardest(threshold, min_kept, kept):
    loss = OHEM(weights={"out": 1.0}, threshold=threshold, min_kept=min_kept)
    expected = -sum(map(math.log, kept)) / len(kept)
    assert loss(SURE_LOGITS, SURE_MASKS).item() == pytest.approx(expected, rel=1e-5)
    assert loss.count(SURE_MASKS).item() == 1


def test_a_image_of_ignored_alone_has_no_hard_pixels():
    loss = OHEM(weights={"out": 1.0})
    assert loss(SURE_LOGITS, torch.full((1, 1, 5), 255, dtype=torch.uint8)).item() == 0


def test_a_threshold_that_is_no_probability_is_refused():
    with pytest.raises(InputError, match=r"loss\.threshold=70"):
        OHEM(weights={"out": 1.0}, threshold=70)
