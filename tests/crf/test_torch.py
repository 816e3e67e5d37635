import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from segtrain.crf import dense_crf
from segtrain.crf.torch_backend import backend
from segtrain.crf.torch_backend.backend import MeanField, batch_marginals
from segtrain.crf.torch_backend.lattice import LatticeFilter, TorchLattice, torch_lattice
from tests.conftest import needs_pydensecrf
from tests.crf.conftest import network_softmax, photograph

KERNELS = {
    "gaussian": {"sxy": 2, "compat": 1.5, "normalization": "before"},
    "bilateral": {"sxy": 6, "srgb": 20, "compat": 2, "normalization": "after"},
}


def photos(count: int, height: int, width: int) -> torch.Tensor:
    """uint8 N×3×H×W."""
    return torch.from_numpy(np.stack([photograph(height, width, i) for i in range(count)])).permute(
        0, 3, 1, 2
    )


@pytest.mark.parametrize("size", [(9, 12), (5, 7)])
def test_a_batch_gives_what_its_images_give_alone(device, size):
    images = photos(3, *size)
    softmax = np.stack([network_softmax(4, *size, i) for i in range(3)])
    crf = MeanField(num_classes=4, **KERNELS, iterations=10)
    given = images.to(device), torch.from_numpy(softmax).to(device)
    together = batch_marginals(*given, crf.kernels, 10).cpu()
    for image, probabilities, refined in zip(images, softmax, together, strict=True):
        image = image.permute(1, 2, 0).numpy()
        alone = dense_crf(image, probabilities, **KERNELS, drop_below=0, backend="torch")
        assert np.allclose(refined, alone, atol=1e-6)


def test_the_module_gives_logits_whose_softmax_are_the_marginals():
    images, softmax = photos(1, 12, 15), network_softmax(4, 12, 15).clip(1e-4)
    logits = torch.from_numpy(softmax).log()[None] + 3
    refined = MeanField(num_classes=4, **KERNELS, iterations=5)(images, logits).softmax(1)[0]
    image = images[0].permute(1, 2, 0).numpy()
    expected = dense_crf(image, softmax, **KERNELS, iterations=5, drop_below=0, backend="torch")
    assert np.allclose(refined.detach(), expected, atol=1e-5)


def test_the_filters_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    lattice = torch_lattice(torch.from_numpy(rng.normal(0, 1, (2, 7, 3)).astype(np.float32)))
    values = torch.from_numpy(rng.random((14, 2))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: LatticeFilter.apply(x, lattice), values)


@pytest.mark.parametrize("compat", [1.5, [[0, 1, 2], [1, 0, 1], [2, 1, -1]]])
def test_gradients_of_unaries_and_weights_are_those_of_finite_differences(compat):
    images = photos(1, 4, 5)
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, 3, 4, 5))).requires_grad_()
    kernels = KERNELS | {"gaussian": {"sxy": 1.5, "compat": compat}}
    crf = MeanField(num_classes=3, **kernels, iterations=3).double()
    weights = list(crf.compatibility)
    assert torch.autograd.gradcheck(lambda x, *_: crf(images, x), (logits, *weights))


def test_the_weights_are_learned_together_with_what_is_below_them(device):
    images = photos(2, 16, 16).to(device)
    labels = torch.zeros(2, 16, 16, dtype=torch.int64, device=device)
    logits = torch.zeros(2, 3, 16, 16, device=device, requires_grad=True)
    crf = MeanField(num_classes=3, **KERNELS).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        refined = crf(images, (logits * 1).to(torch.bfloat16))
    assert refined.dtype == torch.float32
    F.cross_entropy(refined + logits, labels).backward()
    assert [name for name, _ in crf.named_parameters()] == ["compatibility.0", "compatibility.1"]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*crf.parameters(), logits])


class Reads(TorchDispatchMode):
    """Notes what makes the host wait for a device: numbers that are read, arrays made of tensors, sizes
    that depend on values."""

    WAITS = ("item", "_local_scalar_dense", "resolve_neg", "nonzero", "unique", "bincount", "masked_select")

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        if any(name.startswith(wait) for wait in self.WAITS):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def reads(images: torch.Tensor, iterations: int, count: int = 2) -> list[str]:
    softmax = torch.from_numpy(np.stack([network_softmax(4, 20, 27, i) for i in range(count)]))
    kernels = MeanField(num_classes=4, **KERNELS).kernels
    with Reads() as mode:
        batch_marginals(images[:count], softmax, kernels, iterations)
    return mode.names


def test_one_number_a_lattice_is_read_from_the_device_and_none_an_iteration():
    images = photos(2, 20, 27)
    reads(images, 1)  # the spatial lattice is kept
    assert reads(images, 1) == reads(images, 10) == ["item"]
    assert reads(images, 10, count=1) == ["item"]
    assert reads(images.float(), 10) == ["resolve_neg", "item"]  # the range of the colours


def test_the_iterations_need_no_values_at_all():
    """They run on tensors without any: whatever read a number, or a size that depends on one, would raise."""
    logits = torch.empty(2, 4, 20, 27, device="meta")
    crf = MeanField(num_classes=4, **KERNELS, iterations=10)
    filters = [backend.NormalisedFilter(photos(2, 20, 27), kernel) for kernel in crf.kernels]
    for one in filters:
        one.lattice = TorchLattice(*(part.to("meta") for part in one.lattice))
        one.before, one.after = one.before.to("meta"), one.after.to("meta")
    weights = [weight.to("meta") for weight in crf.compatibility]
    assert backend._iterate(logits, filters, weights, 10).shape == logits.shape


@pytest.mark.parametrize("size", [(24, 30), (13, 17), (1, 5)])
def test_a_batch_is_what_numba_makes_of_its_images(size):
    pytest.importorskip("numba")
    images = photos(3, *size)
    softmax = np.stack([network_softmax(4, *size, i) for i in range(3)])
    crf = MeanField(num_classes=4, **KERNELS)
    refined = batch_marginals(images, torch.from_numpy(softmax), crf.kernels, 10)
    for image, probabilities, marginals in zip(images, softmax, refined, strict=True):
        expected = dense_crf(image.permute(1, 2, 0).numpy(), probabilities, **KERNELS, backend="numba")
        assert np.abs(marginals.numpy() - expected).max() < 1e-4


def test_bytes_and_floats_of_the_same_values_give_the_same():
    """The range of bytes is known; that of floats is read."""
    images, softmax = photos(1, 20, 27), torch.from_numpy(network_softmax(4, 20, 27))[None]
    kernels = MeanField(num_classes=4, **KERNELS).kernels
    of_bytes = batch_marginals(images, softmax, kernels, 3)
    assert torch.allclose(batch_marginals(images.float(), softmax, kernels, 3), of_bytes, atol=1e-6)


@needs_pydensecrf
def test_small_stds_fit_where_the_colours_lie_near_each_other():
    """Keys between 0 and 255 would take too many bits; those of the image's colours do not."""
    images = torch.full((1, 3, 8, 9), 3, dtype=torch.uint8)
    kernels = {"gaussian": None, "bilateral": {"sxy": 2, "srgb": 0.01, "compat": 1}}
    crf = MeanField(num_classes=4, **kernels, iterations=1)
    softmax = network_softmax(4, 8, 9)
    refined = crf(images, torch.from_numpy(softmax.clip(1e-5)).log()[None]).softmax(1)[0]
    expected = dense_crf(
        images[0].permute(1, 2, 0).numpy(), softmax, **kernels, iterations=1, backend="pydensecrf"
    )
    assert np.abs(refined.detach().numpy() - expected).max() < 1e-4


def test_a_lattice_that_an_evaluation_left_serves_in_training(device):
    images = photos(1, 11, 14).to(device)
    crf = MeanField(num_classes=4, **KERNELS).to(device)
    logits = torch.zeros(1, 4, 11, 14, device=device, requires_grad=True)
    with torch.inference_mode():
        crf(images, torch.zeros(1, 4, 11, 14, device=device))
    crf(images, logits)[:, 0].sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


@pytest.mark.gpu
def test_the_gpu_gives_what_the_cpu_gives(gpu):
    images, softmax = photos(2, 60, 81), np.stack([network_softmax(21, 60, 81, i) for i in range(2)])
    crf = MeanField(
        num_classes=21, gaussian={"sxy": 3, "compat": 3}, bilateral={"sxy": 80, "srgb": 13, "compat": 10}
    )
    on_cpu = batch_marginals(images, torch.from_numpy(softmax), crf.kernels, 10)
    on_gpu = batch_marginals(images.to(gpu), torch.from_numpy(softmax).to(gpu), crf.kernels, 10).cpu()
    assert (on_cpu - on_gpu).abs().max() <= 1e-4
    assert (on_cpu.argmax(1) == on_gpu.argmax(1)).float().mean() >= 0.9999
