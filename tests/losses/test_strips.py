import pytest
import torch
from torch.nn import functional as F

from segtrain.losses import strips
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.losses.focal import Focal
from segtrain.sizes import upsample_logits

# Cells h×w and pixels H×W: whole strides, images that end within a cell, single rows and columns.
SIZES = [
    ((5, 4), (33, 25)),
    ((5, 4), (30, 19)),
    ((5, 4), (26, 25)),
    ((3, 9), (33, 17)),
    ((1, 4), (7, 25)),
    ((5, 1), (33, 6)),
    ((9, 7), (9, 7)),
    ((8, 8), (15, 15)),
    ((2, 4), (1, 25)),
]


def cross_entropy(logits, masks):
    return F.cross_entropy(logits, masks.long(), ignore_index=255, reduction="sum")


def value_and_gradient(loss, logits):
    logits = logits.clone().requires_grad_()
    value = loss(logits)
    (3 * value).backward()  # the engine divides by the step's count
    return value.detach(), logits.grad


@pytest.mark.parametrize(("cells", "pixels"), SIZES)
@pytest.mark.parametrize("values", [1, 500, 1 << 20])
def test_strips_have_the_value_and_the_gradient_of_the_whole(monkeypatch, cells, pixels, values):
    monkeypatch.setitem(strips.VALUES, "cpu", values)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *cells, generator=generator, dtype=torch.float64)
    masks = torch.randint(0, 3, (2, *pixels), generator=generator).to(torch.uint8)
    masks[0, : pixels[0] // 2] = 255
    whole = value_and_gradient(lambda x: cross_entropy(upsample_logits(x, pixels), masks), logits)
    parts = value_and_gradient(lambda x: strips.summed(cross_entropy, x, masks), logits)
    for of_whole, of_parts in zip(whole, parts, strict=True):
        assert torch.allclose(of_whole, of_parts, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "loss", [CrossEntropy(weights={"out": 0.7}, class_weights=[1.0, 2.0, 0.5]), Focal(weights={"out": 0.7})]
)
def test_the_losses_have_the_same_value_on_coarse_and_on_upsampled_logits(monkeypatch, loss):
    monkeypatch.setitem(strips.VALUES, "cpu", 500)
    logits, masks = torch.randn(2, 3, 5, 4), torch.randint(0, 3, (2, 33, 25)).to(torch.uint8)
    plain = value_and_gradient(lambda x: loss({"out": upsample_logits(x, (33, 25))}, masks), logits)
    fused = value_and_gradient(lambda x: loss({"out": x}, masks), logits)
    for expected, given in zip(plain, fused, strict=True):
        assert torch.allclose(expected, given, rtol=1e-5, atol=1e-5)


def test_no_tensor_of_the_upsampled_size_is_made(monkeypatch):
    monkeypatch.setitem(strips.VALUES, "cpu", 2 * 3 * 8 * 65)
    largest = 0

    def watched(logits, masks):
        nonlocal largest
        largest = max(largest, logits.numel())
        return cross_entropy(logits, masks)

    strips.summed(
        watched, torch.zeros(2, 3, 9, 9, requires_grad=True), torch.zeros(2, 65, 65).to(torch.uint8)
    )
    assert largest <= 2 * 3 * 9 * 65  # a strip's cells and, at the lower border, one row more


def test_logits_that_need_no_gradient_get_none():
    masks = torch.zeros(1, 17, 17, dtype=torch.uint8)
    assert not strips.summed(cross_entropy, torch.zeros(1, 2, 3, 3), masks).requires_grad
