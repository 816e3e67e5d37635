import pytest
import torch
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.losses.bce import BCE
from segtrain.losses.cross_entropy import CrossEntropy

ONE = {"out": 1.0}


def case(classes: int):
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, classes, (2, 5, 4), generator=generator).to(torch.uint8)
    masks[0, 0] = 255
    return torch.randn(2, classes, 5, 4, generator=generator), masks


def test_of_two_classes_it_is_the_cross_entropy():
    logits, masks = case(2)
    expected = CrossEntropy(weights=ONE)({"out": logits}, masks)
    assert BCE(weights=ONE)({"out": logits}, masks).item() == pytest.approx(expected.item(), rel=1e-6)


def test_more_classes_are_one_yes_or_no_each():
    logits, masks = case(4)
    valid = (masks != 255)[:, None].expand_as(logits)
    target = torch.stack([masks == c for c in range(4)], 1).float()
    expected = F.binary_cross_entropy_with_logits(logits[valid], target[valid])
    loss = BCE(weights=ONE)
    assert (loss({"out": logits}, masks) / loss.count(masks)).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_pixels_of_the_class_weigh_what_positive_weight_says():
    logits, masks = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]], dtype=torch.uint8)
    value = BCE(weights=ONE, positive_weight=5.0)({"out": logits}, masks).item()
    assert value == pytest.approx(6 * 0.693147, rel=1e-5)
    with pytest.raises(InputError, match=r"loss\.bce\.positive_weight must be above 0, got 0"):
        BCE(weights=ONE, positive_weight=0)


@pytest.mark.parametrize("class_weights", [None, [0.5, 2.0, 1.0]])
def test_smoothed_labels_are_those_of_pytorch_and_spread_by_hand(class_weights):
    logits, masks = case(3)
    loss = CrossEntropy(weights=ONE, label_smoothing=0.3, class_weights=class_weights)
    known = masks != 255
    spread = 0.7 * F.one_hot(masks[known].long(), 3) + 0.1
    if class_weights is not None:
        spread = spread * torch.tensor(class_weights)
    expected = -(spread * logits.permute(0, 2, 3, 1)[known].log_softmax(1)).sum()
    assert loss({"out": logits}, masks).item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(InputError, match="label_smoothing must be from 0 to 1, got 1"):
        CrossEntropy(weights=ONE, label_smoothing=1)
