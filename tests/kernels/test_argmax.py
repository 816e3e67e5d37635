"""Against torch's interpolation: where the labels differ, the two logits must be equal to rounding."""

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("numba")
from segtrain.kernels.argmax import upsampled_argmax


def assert_same_labels(logits, whole, size, *, align_corners):
    labels = upsampled_argmax(logits.numpy(), whole, size, align_corners=align_corners)
    large = F.interpolate(logits[None], whole, mode="bilinear", align_corners=align_corners)[0]
    large = large[:, : size[0], : size[1]]
    expected = large.argmax(0)
    labels = torch.from_numpy(labels).long()
    assert labels.shape == size
    gap = large.gather(0, expected[None]) - large.gather(0, labels[None])
    assert gap.max() <= 1e-6
    assert (labels != expected).float().mean() < 1e-5


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("classes", "cells", "whole"),
    [
        (21, (16, 32), (128, 256)),
        (21, (17, 33), (129, 257)),
        (2, (5, 4), (33, 25)),
        (255, (3, 3), (24, 24)),
        (1, (4, 4), (9, 9)),
        (3, (1, 1), (5, 7)),
        (3, (1, 6), (1, 41)),
        (3, (6, 1), (41, 1)),
        (3, (1, 1), (1, 1)),
        (4, (9, 11), (9, 11)),
        (4, (7, 9), (20, 23)),
    ],
)
def test_labels_are_those_of_interpolation_and_argmax(classes, cells, whole, align_corners):
    logits = torch.randn(classes, *cells, generator=torch.Generator().manual_seed(classes))
    assert_same_labels(logits, whole, whole, align_corners=align_corners)


def test_a_part_of_a_image_is_annotated_as_in_the_whole():
    logits = torch.randn(5, 9, 9, generator=torch.Generator().manual_seed(0))
    assert_same_labels(logits, (65, 65), (60, 58), align_corners=True)


def test_of_equal_logits_the_first_class_counts():
    assert upsampled_argmax(torch.zeros(4, 2, 2).numpy(), (8, 8), (8, 8), align_corners=False).max() == 0


def test_labels_do_not_depend_on_how_the_logits_lie_in_memory():
    logits = torch.randn(1, 6, 5, 7, generator=torch.Generator().manual_seed(0))
    lying = logits.contiguous(memory_format=torch.channels_last)[0]
    for size in ((33, 49), (5, 7)):
        assert_same_labels(lying, size, size, align_corners=True)
