"""Crops in exported programs, which torch 2.6 and 2.7 leave out where the example needs none."""

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from segtrain.layers import grid


class Whole(nn.Module):
    """Pads an image to a multiple of 4 and cuts it out again."""

    def forward(self, images):
        height, width = images.shape[-2:]
        return grid.cut_out(F.pad(images, (0, -width % 4, 0, -height % 4)), 0, 0, (height, width))


@torch.no_grad()
def exported() -> nn.Module:
    """Its program, of an example from which nothing is cut."""
    sides = {"images": {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}
    return torch.export.export(
        Whole(), (torch.ones(1, 1, 8, 8),), dynamic_shapes=sides, strict=False
    ).module()


def test_a_cut_that_takes_nothing_away_from_the_example_stays_in_the_program(monkeypatch):
    monkeypatch.setattr(grid, "SLICES_ARE_LOST", True)
    images = torch.rand(1, 1, 9, 10)
    assert torch.equal(exported()(images), images)
    assert torch.equal(Whole()(images), images)


@pytest.mark.skipif(not grid.SLICES_ARE_LOST, reason="newer torch keeps slices, or says that it does not")
def test_torch_2_6_loses_slices(monkeypatch):
    monkeypatch.setattr(grid, "SLICES_ARE_LOST", False)
    assert exported()(torch.rand(1, 1, 9, 10)).shape == (1, 1, 12, 12)
