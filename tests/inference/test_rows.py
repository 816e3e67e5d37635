"""Rows that are made when they are asked for are those of the whole map."""

import pytest
import torch
from torch.nn import functional as F

from segtrain.inference.rows import Strips, all_rows, resized, row_blocks, rows_of
from segtrain.sizes import interpolate_rows, upsample_logits, upsample_rows


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("cells", "size"),
    [((5, 4), (33, 25)), ((40, 30), (17, 50)), ((1, 1), (5, 7)), ((6, 3), (1, 1)), ((7, 9),) * 2],
)
def test_rows_are_those_of_the_interpolated_map(cells, size, align_corners):
    maps = torch.randn(2, 3, *cells, generator=torch.Generator().manual_seed(0))
    large = F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)
    for start in range(0, size[0], 4):
        stop = min(start + 4, size[0])
        rows = interpolate_rows(rows_of(maps), cells[0], size, start, stop, align_corners=align_corners)
        assert torch.allclose(rows, large[..., start:stop, :], atol=1e-6)


@pytest.mark.parametrize("size", [(33, 25), (30, 23), (5, 4)])
def test_rows_of_upsampled_logits_are_those_of_all_of_them(size):
    logits = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    all_rows = [upsample_rows(logits, size, y, y + 1) for y in range(size[0])]
    assert torch.allclose(torch.cat(all_rows, 2), upsample_logits(logits, size), atol=1e-6)


def test_strips_are_made_when_they_are_needed_and_forgotten_when_they_are_not():
    maps, made = torch.arange(60.0).view(1, 1, 20, 3), []

    def strips():
        for top in range(0, 20, 5):
            made.append(top)
            yield maps[..., top : top + 5, :]

    rows = Strips(strips())
    assert torch.equal(rows(0, 5), maps[..., :5, :])
    assert made == [0]
    assert torch.equal(rows(4, 7), maps[..., 4:7, :])
    assert made == [0, 5]
    assert torch.equal(rows(14, 20), maps[..., 14:20, :])  # some are passed over
    assert [strip.shape[-2] for strip in rows.held] == [5, 5]


@pytest.mark.parametrize("size", [(40, 9), (200, 30), (71, 20)])
def test_strips_are_resized_as_the_whole_map(size):
    maps = torch.randn(1, 2, 150, 20, generator=torch.Generator().manual_seed(0))
    strips = Strips(iter(maps.split(7, 2)))
    large = all_rows(resized(strips, (150, 20), size), size[0])
    assert torch.allclose(large, F.interpolate(maps, size, mode="bilinear"), atol=1e-6)


def test_row_blocks_cover_every_row_once():
    maps = torch.rand(1, 1, 130, 2)
    assert torch.equal(torch.cat(list(row_blocks(rows_of(maps), 130)), 2), maps)
