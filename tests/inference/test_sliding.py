"""Sliding windows and overlap tiles, on networks whose scores are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.inference import OverlapTile, Sliding
from segtrain.inference.rows import rows_of
from segtrain.inference.sliding import offsets
from segtrain.input_spec import MEAN_COLOUR
from tests.inference.applied import applied


def brightness(images):
    """Two classes: the first channel, and 0."""
    return torch.cat([images[:, :1].float(), torch.zeros_like(images[:, :1], dtype=torch.float32)], 1)


def edges(images):
    """What a convolution with zeros around it makes of an image: other values near a window's border."""
    kernel = torch.ones(2, 3, 5, 5) * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    return F.conv2d(images.float(), kernel, padding=2)


@pytest.mark.parametrize(
    ("side", "expected"), [(473, [0]), (474, [0, 1]), (789, [0, 316]), (1000, [0, 316, 527])]
)
def test_windows_begin_where_pspnets_do(side, expected):
    assert offsets(side, 473, 316) == expected
    assert len(expected) == -((473 - side) // 316) + 1  # ceil((side - window) / stride) + 1


@pytest.mark.parametrize("stride", [8, 5, 1])
@pytest.mark.parametrize("size", [(16, 24), (19, 29), (8, 8), (5, 20), (20, 3)])
def test_windows_of_a_network_that_sees_single_pixels_are_the_whole_image(size, stride):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    scores = applied(Sliding(window=8, stride=stride, batch_size=3), brightness, images)
    assert torch.allclose(scores.softmax(1), brightness(images).softmax(1), atol=1e-6)


def test_the_overlap_is_the_mean_of_probabilities():
    # DeconvNetWindows at 0, 2 and, shifted inwards, 3 of a side of 7: logits 0, 1 and 2 of the first class.
    answers = iter([0.0, 1.0, 2.0])

    def network(images):
        return torch.stack([torch.full((1, 4, 4), next(answers)), torch.zeros(1, 4, 4)], 1)

    seen = applied(Sliding(window=4, stride=2, batch_size=1), network, torch.zeros(1, 3, 4, 7)).softmax(1)[
        0, 0, 0
    ]
    a, b, c = torch.tensor([0.0, 1.0, 2.0]).sigmoid()
    expected = [a, a, (a + b) / 2, (a + b + c) / 3, (b + c) / 2, (b + c) / 2, c]
    assert torch.allclose(seen, torch.stack(expected))


def test_every_window_has_its_size_and_a_small_image_lies_in_the_middle_of_the_mean_colour():
    seen = []

    def network(images):
        seen.append(images)
        return brightness(images)

    way = Sliding(window=8, stride=6, batch_size=2)
    applied(way, network, torch.zeros(1, 3, 5, 20, dtype=torch.uint8))
    assert [tuple(x.shape) for x in seen] == [(2, 3, 8, 8), (1, 3, 8, 8)]
    assert all(x.dtype == torch.uint8 for x in seen)
    rows = [seen[0][0, :, y, 0].tolist() for y in range(8)]
    assert rows == [list(MEAN_COLOUR)] + [[0, 0, 0]] * 5 + [list(MEAN_COLOUR)] * 2


def semseg(network, image, crop, stride):
    """Probabilities C×h×w of a float image h×w×3 as semseg's tool/test.py has them, window by window."""
    import cv2

    height, width = image.shape[:2]
    below, right = max(crop - height, 0), max(crop - width, 0)
    top, left = below // 2, right // 2
    large = cv2.copyMakeBorder(
        image, top, below - top, left, right - left, cv2.BORDER_CONSTANT, value=MEAN_COLOUR
    )
    total = np.zeros((2, *large.shape[:2]))
    count = np.zeros(large.shape[:2])
    for i in range(math.ceil((large.shape[0] - crop) / stride) + 1):
        for j in range(math.ceil((large.shape[1] - crop) / stride) + 1):
            y, x = (
                min(k * stride + crop, side) - crop for k, side in zip((i, j), large.shape[:2], strict=True)
            )
            window = torch.from_numpy(large[y : y + crop, x : x + crop].copy()).permute(2, 0, 1)[None]
            total[:, y : y + crop, x : x + crop] += network(window).softmax(1)[0].numpy()
            count[y : y + crop, x : x + crop] += 1
    return (total / count)[:, top : top + height, left : left + width]


@pytest.mark.parametrize("size", [(7, 9), (9, 30), (25, 8), (21, 26), (12, 12)])
def test_probabilities_are_those_of_the_authors_script(size):
    image = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0)).float()

    def network(images):
        return edges(images) / 2000

    expected = semseg(network, image[0].permute(1, 2, 0).numpy(), 12, 8)
    seen = applied(Sliding(window=12, stride=8), network, image).softmax(1)[0]
    assert np.abs(seen.numpy() - expected).max() < 1e-5
    assert expected.std() > 0.01


def test_a_row_of_windows_is_scored_when_its_rows_are_asked_for():
    calls = []

    def network(images):
        calls.append(len(images))
        return rows_of(brightness(images))

    rows = Sliding(window=8, stride=8)(network, torch.zeros(1, 3, 32, 16), ["image"])
    rows(0, 8)
    assert len(calls) == 1
    rows(8, 17)
    assert len(calls) == 3


def test_gaps_between_windows_are_refused():
    with pytest.raises(InputError, match=r"inference\.stride must be from 1 to inference\.window=8, got 9"):
        Sliding(window=8, stride=9)


@pytest.mark.parametrize("size", [(16, 24), (19, 29), (3, 40)])
def test_tiles_with_a_margin_are_the_whole_image_but_for_its_edge(size):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    scores = applied(OverlapTile(tile=8, margin=2), edges, images)
    inside = (..., slice(2, -2), slice(2, -2))
    assert scores.shape == (2, 2, *size)
    assert torch.allclose(scores[inside], edges(images)[inside], atol=1e-4)


def test_a_tile_at_the_images_edge_sees_it_mirrored():
    images = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    scores = applied(OverlapTile(tile=4, margin=2), edges, images)
    around = nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
    assert torch.allclose(scores, edges(around)[..., 2:-2, 2:-2], atol=1e-4)


def test_tiles_of_a_unet_without_padding_are_one_pass():
    import segtrain

    torch.manual_seed(0)
    net = segtrain.build_model("unet_valid", num_classes=3, width=0.0625).eval()
    images = torch.rand(1, 3, 70, 60) * 255
    with torch.inference_mode():
        scores = applied(OverlapTile(tile=48, margin=112), lambda x: net(x)["out"], images)
        assert torch.allclose(scores, net(images)["out"], atol=1e-4)
