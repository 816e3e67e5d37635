"""Dice, Tversky, Lovász-softmax and focal loss on two pixels and two classes, by hand."""

import math

import pytest
import torch

from segtrain.errors import InputError
from segtrain.losses.dice import Dice
from segtrain.losses.focal import Focal
from segtrain.losses.lovasz import Lovasz
from segtrain.losses.tversky import Tversky

# Labels 1 and 0; the probability of class 1 is 0.6 and 0.3. A third pixel is ignored.
P = torch.tensor([0.6, 0.3, 0.9])
OUTPUTS = {"out": torch.stack([1 - P, P]).log().view(1, 2, 1, 3)}
MASKS = torch.tensor([[[1, 0, 255]]], dtype=torch.uint8)
ONE = {"out": 1.0}


def test_dice():
    expected = (1 - 2 * 0.7 / (1.1 + 1) + 1 - 2 * 0.6 / (0.9 + 1)) / 2
    assert Dice(weights=ONE)(OUTPUTS, MASKS).item() == pytest.approx(expected)


def test_tversky_prices_false_positives_and_negatives():
    # Class 1: hits 0.6, false positives 0.3, false negatives 0.4. Class 0: 0.7, 0.4 and 0.3.
    one, zero = 0.6 / (0.6 + 0.2 * 0.3 + 0.8 * 0.4), 0.7 / (0.7 + 0.2 * 0.4 + 0.8 * 0.3)
    loss = Tversky(weights=ONE, alpha=0.2, beta=0.8)
    assert loss(OUTPUTS, MASKS).item() == pytest.approx(1 - (one + zero) / 2)
    even = Tversky(weights=ONE, alpha=0.5, beta=0.5)
    assert even(OUTPUTS, MASKS).item() == pytest.approx(Dice(weights=ONE)(OUTPUTS, MASKS).item())


def test_a_price_below_0_is_refused():
    with pytest.raises(InputError, match="alpha and beta must be from 0 up and not both 0, got 0 and 0"):
        Tversky(weights=ONE, alpha=0, beta=0)


def test_lovasz():
    # Class 1: errors 0.4 (its only pixel: the IoU falls to 0 at once) and 0.3 (no further).
    # Class 0: errors 0.4 (not its pixel: the IoU falls to 1/2) and 0.3 (and then to 0).
    expected = (0.4 + (0.4 + 0.3) / 2) / 2
    assert Lovasz(weights=ONE)(OUTPUTS, MASKS).item() == pytest.approx(expected)


def test_focal():
    expected = -(0.4**2 * math.log(0.6) + 0.3**2 * math.log(0.7))
    assert Focal(weights=ONE)(OUTPUTS, MASKS).item() == pytest.approx(expected)
    assert Focal(weights=ONE).count(MASKS).item() == 2


@pytest.mark.parametrize("loss", [Dice, Lovasz, Tversky])
def test_a_class_that_a_image_has_not_does_not_count(loss):
    three = {"out": torch.cat([OUTPUTS["out"], torch.full((1, 1, 1, 3), -30.0)], 1)}
    assert loss(weights=ONE)(three, MASKS).item() == pytest.approx(
        loss(weights=ONE)(OUTPUTS, MASKS).item(), rel=1e-4
    )


@pytest.mark.parametrize("loss", [Dice, Lovasz, Tversky])
def test_a_perfect_prediction_costs_nothing_and_images_are_counted(loss):
    sure = {"out": 40 * torch.tensor([[-1.0, 1, 0], [1, -1, 0]]).view(1, 2, 1, 3)}
    assert loss(weights=ONE)(sure, MASKS).item() == pytest.approx(0, abs=1e-6)
    assert loss(weights=ONE).count(MASKS).item() == 1


@pytest.mark.parametrize("loss", [Dice, Lovasz, Focal, Tversky])
def test_ignored_alone_gives_zero_and_finite_gradients(loss):
    logits = OUTPUTS["out"].clone().requires_grad_()
    value = loss(weights=ONE)({"out": logits}, torch.full((1, 1, 3), 255, dtype=torch.uint8))
    value.backward()
    assert value.item() == 0
    assert logits.grad.eq(0).all()
