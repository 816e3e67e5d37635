"""What every option of `loss=` promises: ignored pixels have no part, empty classes are defined, and the
gradient is the value's."""

from functools import cache
from inspect import getattr_static

import pytest
import torch

from segtrain.commands.build import build_loss
from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from tests.fake_gpu import fake_gpu

OPTIONS = sorted(path.stem for path in (CONFIG_DIR / "loss").glob("*.yaml"))
CLASSES = 11  # of the weights that were published for CamVid


@cache
def config_of(option: str):
    return plain(compose_config("train", [f"loss={option}"]))


def loss_of(option: str):
    loss = build_loss(config_of(option))
    if loss.wants_frequencies:
        loss.balance([1.0 + c / 7 for c in range(CLASSES)])
    return loss


@pytest.mark.parametrize("option", OPTIONS)
def test_protocols_see_what_a_loss_has_on_every_python(option):
    for loss in build_loss(config_of(option)).losses:
        for name in ("progress", "wants_frequencies", "class_weights"):
            if hasattr(loss, name):
                getattr_static(loss, name)  # as protocols look from 3.12 on: it sees no module's buffers


def batch(option: str, device: torch.device):
    """Logits float64 2×C×h×w of every output, and masks with ignored pixels and without most classes."""
    generator = torch.Generator().manual_seed(1)
    names = loss_of(option).output_names
    stride = 8 if option.startswith("deeplab") else 1
    logits = {
        name: torch.randn(2, CLASSES, 4, 3, dtype=torch.float64, generator=generator).to(device)
        for name in sorted(names)
    }
    size = (3 * stride + 1, 2 * stride + 1)
    masks = torch.randint(0, 3, (2, *size), generator=generator).to(torch.uint8)
    masks[0, : size[0] // 2] = 255
    masks[1, -1, -1] = 255
    return logits, masks.to(device)


def value(loss, logits, masks):
    count = loss.count(masks)
    return (loss(logits, masks) / (count + (count == 0))).sum()


@pytest.mark.parametrize("option", OPTIONS)
def test_the_gradient_is_that_of_the_value(device, option):
    loss, (logits, masks) = loss_of(option), batch(option, device)
    given = [logits[name].requires_grad_() for name in logits]
    assert torch.autograd.gradcheck(
        lambda *x: value(loss, dict(zip(logits, x, strict=True)), masks), given, fast_mode=True
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_a_batch_of_ignored_pixels_gives_zero_and_no_gradient(device, option):
    loss, (logits, masks) = loss_of(option), batch(option, device)
    given = {name: x.requires_grad_() for name, x in logits.items()}
    result = value(loss, given, torch.full_like(masks, 255))
    result.backward()
    assert result.item() == 0
    assert all(x.grad.eq(0).all() for x in given.values())


@pytest.mark.parametrize("option", OPTIONS)
def test_ignored_pixels_have_no_gradient_and_change_nothing(device, option):
    loss, (logits, masks) = loss_of(option), batch(option, device)
    if option.startswith("deeplab"):
        return  # a cell there stands for several pixels
    given = {name: x.requires_grad_() for name, x in logits.items()}
    result = value(loss, given, masks)
    result.backward()
    ignored = (masks == 255)[:, None].expand(-1, CLASSES, -1, -1)
    assert all(x.grad[ignored].eq(0).all() for x in given.values())
    assert all(x.grad[~ignored].ne(0).any() for x in given.values())
    others = {name: torch.where(ignored, 7 - x.detach(), x.detach()) for name, x in given.items()}
    assert value(loss, others, masks).item() == pytest.approx(result.item(), rel=1e-12)


@pytest.mark.parametrize("option", sorted({*OPTIONS} - {"boundary", "unet"}))  # SciPy makes the maps of those
def test_the_host_waits_for_nothing_of_a_gpu(option):
    loss, (logits, masks) = loss_of(option), batch(option, torch.device("cpu"))
    with fake_gpu() as gpu:
        there = {name: torch.empty(x.shape, device=gpu) for name, x in logits.items()}
        result = value(loss, there, torch.empty(masks.shape, dtype=torch.uint8, device=gpu))
    assert result.device.type == "cuda"


@pytest.mark.parametrize("option", OPTIONS)
def test_it_is_finite_where_one_class_is_everywhere(device, option):
    loss, (logits, masks) = loss_of(option), batch(option, device)
    for label in (0, 1):
        given = {name: x.detach().clone().requires_grad_() for name, x in logits.items()}
        result = value(loss, given, torch.full_like(masks, label))
        result.backward()
        assert result.isfinite()
        assert all(x.grad.isfinite().all() for x in given.values())
