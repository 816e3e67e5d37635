"""Tiles of an image of any size: where they lie, and that blending them changes nothing."""

from itertools import pairwise

import numpy as np
import pytest

from segtrain.errors import InputError
from segtrain.evaluation.tiling import GRID, Blender, spans

SIDES = [(1, 64, 32), (64, 64, 0), (65, 64, 32), (300, 96, 40), (1000, 128, 96), (777, 160, 3)]


@pytest.mark.parametrize(("side", "tile", "overlap"), SIDES)
def test_tiles_cover_a_side_and_their_weights_add_up_to_one(side, tile, overlap):
    found = spans(side, tile, overlap)
    total = np.zeros(side)
    for one in found:
        assert one.start % GRID == 0
        total[one.start : one.stop] += one.weights
        assert (one.weights[: one.begin - one.start] == 0).all()
    assert total == pytest.approx(1, abs=1e-6)
    assert [one.begin for one in found[1:]] == [one.end for one in found[:-1]]
    assert (found[0].begin, found[-1].end, found[-1].stop) == (0, side, side)
    for a, b in pairwise(found):
        assert a.stop - b.start >= overlap
    for one in found[:-1]:
        assert one.stop - one.start == tile
    assert found[-1].stop - found[-1].start < tile + GRID


def test_the_outer_quarter_of_an_overlap_counts_nothing():
    first, second, *_ = spans(1000, 256, 64)
    assert (second.weights[:16] == 0).all()
    assert second.weights[16] > 0
    assert (first.weights[-16:] == 0).all()
    assert first.weights[-17] > 0


def test_an_overlap_that_leaves_no_step_is_refused():
    with pytest.raises(InputError, match=r"overlap=100 must be from 0 to tile - 32, of tile=128"):
        spans(1000, 128, 100)


def edge_effects(tiles):
    """Two channels as their own probabilities, wrong in a margin of 8 pixels."""
    found = []
    for _, _, tile in tiles:
        probabilities = tile.transpose(2, 0, 1).astype(np.float32)
        for edge in (np.s_[:, :8], np.s_[:, -8:], np.s_[:, :, :8], np.s_[:, :, -8:]):
            probabilities[edge] += 1
        found.append(probabilities)
    return found


def blended(image, predict, *, rows=None, batch_size=3, **tiling):
    """All that a blender makes of an image, from the first row that `rows` needs."""
    blender = Blender(image.shape[:2], classes=2, predict=predict, batch_size=batch_size, **tiling)
    first = rows or 0
    result = np.full((2, *image.shape[:2]), np.nan, np.float32)
    for number in range(blender.first_needed(first), len(blender.rows)):
        row = blender.rows[number]
        for piece in blender.pieces(number, image[row.start : row.stop]):
            assert piece.row == number
            height, width = piece.probabilities.shape[1:]
            if number >= first:
                result[:, piece.top : piece.top + height, piece.left : piece.left + width] = (
                    piece.probabilities
                )
    return result


@pytest.mark.parametrize("size", [(300, 410), (96, 200), (50, 40), (257, 129)])
def test_a_network_that_sees_less_than_the_unused_quarter_labels_as_if_the_image_were_whole(size):
    image = np.random.default_rng(0).random((*size, 2), np.float32)
    result = blended(image, edge_effects, tile=96, overlap=32)
    right = image.transpose(2, 0, 1)
    middle = np.s_[:, 8:-8, 8:-8]  # the image's own border has the effect in both
    assert result[middle] == pytest.approx(right[middle], abs=1e-6)
    assert not np.isnan(result).any()


@pytest.mark.parametrize(("tile", "overlap"), [(96, 32), (128, 96)])
def test_what_begins_in_the_middle_has_the_same_bytes(tile, overlap):
    image = np.random.default_rng(1).random((420, 230, 2), np.float32)
    whole = blended(image, edge_effects, tile=tile, overlap=overlap)
    for row in (1, 3):
        rest = blended(image, edge_effects, rows=row, tile=tile, overlap=overlap)
        there = ~np.isnan(rest)
        assert there.any()
        assert (rest[there] == whole[there]).all()


def test_tiles_without_data_add_nothing():
    image = np.ones((200, 300, 2), np.float32)
    result = blended(
        image,
        lambda tiles: [
            None if left == 0 else found
            for (_, left, _), found in zip(tiles, edge_effects(tiles), strict=True)
        ],
        tile=96,
        overlap=32,
    )
    assert (result[:, :, :64] == 0).all()
    assert result[:, 20:180, 90:280] == pytest.approx(1, abs=1e-6)
