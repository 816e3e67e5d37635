import pytest
import torch

from segtrain import sizes
from segtrain.sizes import stride_of, subsample_labels, upsample_logits, upsampled_labels


@pytest.mark.parametrize(
    ("cells", "pixels", "stride"), [(41, 321, 8), (65, 513, 8), (48, 375, 8), (9, 9, 1), (2, 9, 8)]
)
def test_the_stride_is_found_from_the_sizes(cells, pixels, stride):
    assert stride_of(cells, pixels) == stride


def test_every_cell_keeps_its_value_on_its_own_pixel():
    logits = torch.rand(1, 2, 5, 4)
    large = upsample_logits(logits, (33, 25))
    assert torch.allclose(large[..., ::8, ::8], logits, atol=1e-6)


def test_a_image_that_ends_between_cells_is_cut_not_squeezed():
    logits = torch.rand(1, 2, 5, 4)
    assert torch.allclose(upsample_logits(logits, (30, 23)), upsample_logits(logits, (33, 25))[..., :30, :23])


def test_a_single_cell_covers_everything():
    assert upsample_logits(torch.ones(1, 2, 1, 1), (5, 3)).eq(1).all()


def test_labels_lie_on_the_cells_and_cells_beyond_the_image_are_ignored():
    labels = torch.arange(30 * 23).view(1, 30, 23)
    small = subsample_labels(labels, 8, (5, 4), ignore_index=-1)
    assert small.shape == (1, 5, 4)
    assert small[0, 3, 2] == labels[0, 24, 16]
    assert (small[0, 4] == -1).all()
    assert (small[0, :, 3] == -1).all()


@pytest.mark.parametrize("values", [1, 500, 1 << 20])
@pytest.mark.parametrize(
    ("cells", "size"), [((5, 4), (33, 25)), ((5, 4), (30, 23)), ((1, 1), (5, 3)), ((6, 7), (6, 7))]
)
def test_labels_are_the_argmax_of_upsampled_logits_whole_and_in_row_blocks(cells, size, values, monkeypatch):
    monkeypatch.setattr(sizes, "VALUES", values)
    logits = torch.randn(2, 3, *cells, generator=torch.Generator().manual_seed(1))
    labels = upsampled_labels(logits.contiguous(memory_format=torch.channels_last), size)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), upsample_logits(logits, size).argmax(1))
