"""What is fast in a training step, beside the plain way of the same."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from segtrain import build_model, optim
from segtrain.engine import step
from segtrain.engine.device import Compute
from segtrain.layers.score import Score
from segtrain.losses.cross_entropy import CrossEntropy
from tests.engine.test_train import make_run
from tests.fake_gpu import fake_gpu, moved

CPU = torch.device("cpu")
LOSS = CrossEntropy(weights={"out": 1.0})


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 33, 33), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 5, (2, 33, 33), generator=generator).to(torch.uint8)


def gradients(model, precision: str) -> tuple[float, torch.Tensor]:
    device = next(model.parameters()).device
    images, masks = (x.to(device) for x in batch())
    model.zero_grad()
    with Compute(device, precision).autocast():
        outputs = model(images)
    loss = LOSS(outputs, masks) / LOSS.count(masks)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in model.parameters()])


def small_model():
    torch.manual_seed(0)
    model = build_model("fcn8s", num_classes=5, width=0.125).eval()  # without dropout
    for layer in model.modules():
        if isinstance(layer, Score):  # they begin as zeros
            torch.nn.init.normal_(layer.weight, std=0.1)
    return model


def test_bfloat16_gives_the_loss_and_the_gradient_of_float32_within_its_own_error(device):
    (exact, plain), (rounded, fast) = (
        gradients(small_model().to(device), precision) for precision in ("32", "bf16")
    )
    assert rounded == pytest.approx(exact, rel=2**-7)
    # Roundings of 2^-8 in each of some 20 layers, forward and backward.
    assert (plain - fast).norm() < 0.1 * plain.norm()


def test_channels_last_gives_the_loss_and_the_gradient_of_the_other_order(device):
    model = small_model().to(device)
    exact, plain = gradients(model, "32")
    given, fast = gradients(model.to(memory_format=torch.channels_last), "32")
    assert given == pytest.approx(exact, rel=1e-6)
    assert torch.allclose(plain, fast, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [optim.sgd, optim.adam, optim.adamw])
def test_the_fused_optimizers_go_the_way_of_the_plain_ones(device, make, monkeypatch):
    weights = []
    for fused in (True, False):
        monkeypatch.setattr(optim, "_fused", lambda _, fused=fused: fused)
        model = small_model().to(device)
        optimizer = make(model, lr=1e-3, weight_decay=1e-2)
        for _ in range(3):
            for parameter in model.parameters():
                numbers = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
                parameter.grad = numbers.to(device)
            optimizer.step()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*weights, rtol=1e-4, atol=1e-6)


class ReadBack(TorchDispatchMode):
    """Counts the values that Python reads of tensors: each would wait for a GPU."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **kwargs or {})


def test_loss_clipping_and_optimizer_read_no_value_back():
    model = small_model()
    optimizer = optim.adamw(model, lr=1e-3)
    gradients(model, "32")
    images, masks = batch()
    with ReadBack() as read:
        count = LOSS.count(masks)
        (LOSS(model(images), masks) / (count + (count == 0))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert read.count == 0


def test_a_whole_step_waits_for_nothing_but_the_loss(monkeypatch, tmp_path):
    """On a fake GPU, where reading a value raises; but for the backward pass, which torch has no fake of."""
    state = make_run(clip_norm=1.0, ema=0.9, accumulate=2)
    sent = []

    def backward(loss):
        for parameter in state.model.parameters():
            parameter.grad = torch.zeros_like(parameter)

    monkeypatch.setattr(optim, "_fused", lambda _: False)  # torch has no fake of that either
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(step, "to_device", lambda x, device: x.to(device))
    monkeypatch.setattr(step, "to_host", lambda x: sent.append(x) or (lambda: np.zeros(1)))
    batches = [(*batch(), ["a", "b"]) for _ in range(2)]
    with fake_gpu() as gpu:
        moved(state.model)
        moved(state.averaged.module)
        state.compute = Compute(gpu, "32")
        state.optimizer = optim.sgd(state.model, lr=0.1)
        assert step.train_step(state, batches, tmp_path) == [0]
    assert [x.device.type for x in sent] == ["cuda", "cuda"]


def test_a_seed_gives_torchs_own_random_numbers(device):
    Compute(device, "32").seed(-7)
    ours = torch.rand(3, device=device)
    torch.manual_seed(-7)
    assert torch.equal(ours, torch.rand(3, device=device))
