"""Mean field as layers of torch: on the GPU, over batches, and with gradients.

"Conditional Random Fields as Recurrent Neural Networks", Zheng et al., ICCV 2015,
https://arxiv.org/abs/1502.03240: every iteration is filtering, compatibility, adding the unaries, and
a softmax, all of them differentiable; so a network can be trained together with the CRF on top of it.
"""

import functools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.crf.inputs import check_probabilities
from segtrain.crf.potentials import SMALLEST_PROBABILITY, Kernel, read_kernels
from segtrain.crf.torch_backend.lattice import LatticeFilter, TorchLattice, constant, torch_lattice

Parameters = Mapping[str, Any]
_device_is_free = threading.Lock()  # several threads' images would take their memory at once


class MeanField(nn.Module):
    """Iterations of mean field on top of a network's logits.

    Zheng et al. 2015, section 4; the learned weights start as `dense_crf`'s.

    Args:
        num_classes: of the logits.
        channels: of the images.
        gaussian: as of `dense_crf`. Each kernel's `compat`, a number or a matrix, is what is learned:
            the parameters `compatibility.0` ...
        bilateral: likewise.
        iterations: in training. Zheng et al. train with 5 and test with 10.
        test_iterations: in eval mode; as many as in training if not given.
        learn_matrices: a Potts weight becomes the matrix C×C that has minus it on the diagonal, which
            means the same, and all of it is learned.

    Raises:
        InputError: a kernel that does not fit, as `dense_crf`.

    Example:
        >>> crf = MeanField(num_classes=21, gaussian={"sxy": 3, "compat": 3}, bilateral=None)
        >>> refined = crf(images, logits)
    """

    def __init__(
        self,
        *,
        num_classes: int,
        gaussian: Parameters | Sequence[Parameters] | None,
        bilateral: Parameters | Sequence[Parameters] | None,
        iterations: int = 5,
        test_iterations: int | None = None,
        learn_matrices: bool = False,
        channels: int = 3,
    ):
        super().__init__()
        self.iterations = iterations
        self.test_iterations = iterations if test_iterations is None else test_iterations
        self.kernels = read_kernels(gaussian, bilateral, channels, num_classes)
        weights = [torch.tensor(kernel.compatibility) for kernel in self.kernels]
        if learn_matrices:
            weights = [w if w.ndim else -w * torch.eye(num_classes) for w in weights]
        self.compatibility = nn.ParameterList(nn.Parameter(weight) for weight in weights)

    def forward(self, images: Tensor, logits: Tensor) -> Tensor:
        """Refines logits.

        Args:
            images: uint8 or float N×K×H×W, in 0..255.
            logits: N×C×H×W, of the images' size; float64 is computed in that.

        Returns:
            Logits whose softmax are the marginals, N×C×H×W, float32 or float64.

        Raises:
            InputError: stds too small for the images.
        """
        with torch.autocast(images.device.type, enabled=False):
            unaries = logits if logits.dtype == torch.float64 else logits.float()
            iterations = self.iterations if self.training else self.test_iterations
            return _infer(images, unaries, self.kernels, list(self.compatibility), iterations)


class TorchBackend:
    """torch's backend: on a GPU where there is one.

    Example:
        >>> TorchBackend().marginals(image, softmax, read_kernels(gaussian, None, 3, len(softmax)), 10)
    """

    def marginals(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """See `backends.Backend`."""
        with _device_is_free:
            return self._refined(image, probabilities, kernels, iterations).cpu().numpy()

    def labels(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> np.ndarray:
        """See `backends.Backend`; int64. The argmax is taken on the device."""
        with _device_is_free:
            return self._refined(image, probabilities, kernels, iterations).argmax(0).cpu().numpy()

    def infer(
        self, images: Tensor, probabilities: Tensor, kernels: Sequence[Kernel], iterations: int
    ) -> Tensor:
        """`batch_marginals`, of a batch of one image."""
        return batch_marginals(images, probabilities, kernels, iterations)

    def _refined(
        self, image: np.ndarray, probabilities: np.ndarray, kernels: Sequence[Kernel], iterations: int
    ) -> Tensor:
        """The marginals of one image, float32 C×H×W, on a GPU where there is one."""
        check_probabilities(probabilities)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        copy = np.array(image, np.uint8 if image.dtype == np.uint8 else np.float32)
        images = torch.from_numpy(copy).permute(2, 0, 1)[None].to(device)
        return self.infer(images, torch.from_numpy(probabilities)[None].to(device), kernels, iterations)[0]


@torch.inference_mode()
def batch_marginals(
    images: Tensor, probabilities: Tensor, kernels: Sequence[Kernel], iterations: int
) -> Tensor:
    """Refines a batch on the device that it is on.

    Args:
        images: uint8 or float N×K×H×W, in 0..255.
        probabilities: float N×C×H×W, a softmax.
        kernels: of `potentials.read_kernels`.
        iterations: of mean field.

    Returns:
        Marginals, float32 N×C×H×W.

    Raises:
        InputError: stds too small for the images.

    Example:
        >>> refined = batch_marginals(images, logits.softmax(1), read_kernels(gaussian, bilateral, 3, 21), 10)
    """
    unaries = probabilities.float().clamp(SMALLEST_PROBABILITY, 1).log()
    weights = [
        constant(kernel.compatibility, torch.float32, images.device)
        if isinstance(kernel.compatibility, float)
        else torch.as_tensor(kernel.compatibility, device=images.device)
        for kernel in kernels
    ]
    return _infer(images, unaries, kernels, weights, iterations).softmax(1)


def _infer(
    images: Tensor, unaries: Tensor, kernels: Sequence[Kernel], weights: list[Tensor], iterations: int
) -> Tensor:
    return _iterate(unaries, [NormalisedFilter(images, kernel) for kernel in kernels], weights, iterations)


def _iterate(
    unaries: Tensor, filters: list["NormalisedFilter"], weights: list[Tensor], iterations: int
) -> Tensor:
    """Reads nothing from the device: a GPU is given all iterations at once."""
    batch, classes, height, width = unaries.shape
    rows = unaries.permute(0, 2, 3, 1).reshape(-1, classes).contiguous()
    logits = rows
    for _ in range(iterations):
        values, logits = logits.softmax(1), rows
        for filtered, weight in zip(filters, weights, strict=True):
            logits = logits + _message(filtered(values), weight.to(rows.dtype))
    return logits.reshape(batch, height, width, classes).permute(0, 3, 1, 2)


def _message(filtered: Tensor, weight: Tensor) -> Tensor:
    """What the filtered marginals add to the logits: a Potts weight attracts, a matrix costs. Its row i
    and column j say what label j pays beside label i; one that is learned need not be symmetric."""
    return weight * filtered if weight.ndim == 0 else -filtered @ weight


class NormalisedFilter:
    """A kernel's filter with its normalisation, of values B·N×C.

    A spatial lattice is the same for every image of a size: it is kept, and a batch's images are more
    columns on one lattice. A bilateral one is made for the batch.
    """

    def __init__(self, images: Tensor, kernel: Kernel):
        batch, _, height, width = images.shape
        self.batch = batch if kernel.spatial else 1
        if kernel.spatial:
            self.lattice, norm = _spatial_lattice(height, width, kernel.stds, images.device)
        else:
            self.lattice, norm = _bilateral_lattice(images, kernel.stds)
        ones = torch.ones_like(norm)
        factors = {
            "symmetric": (norm.rsqrt(), norm.rsqrt()),
            "before": (1 / norm, ones),
            "after": (ones, 1 / norm),
            "none": (ones, ones),
        }
        self.before, self.after = factors[kernel.normalization]

    def __call__(self, values: Tensor) -> Tensor:
        pixels, classes = len(self.before), values.shape[1]
        rows = values.reshape(self.batch, pixels, classes).transpose(0, 1).reshape(pixels, -1)
        filtered = LatticeFilter.apply(rows * self.before, self.lattice) * self.after
        return filtered.reshape(pixels, self.batch, classes).transpose(0, 1).reshape(-1, classes)


@functools.lru_cache(maxsize=4)
def _spatial_lattice(
    height: int, width: int, stds: tuple[float, ...], device: torch.device
) -> tuple[TorchLattice, Tensor]:
    """The lattice of an image's places and what its filter makes of ones, float32 N×1."""
    with torch.inference_mode(False), torch.no_grad():  # a training may use it after an evaluation
        return _normalised(_positions(1, height, width, device), stds, [(0, width - 1), (0, height - 1)])


@torch.no_grad()
def _bilateral_lattice(images: Tensor, stds: tuple[float, ...]) -> tuple[TorchLattice, Tensor]:
    """The lattice of all images' places and colours and what its filter makes of ones, float32 B·N×1."""
    batch, channels, height, width = images.shape
    features = torch.cat([_positions(batch, height, width, images.device), images.float()], 1)
    ends = None
    if images.dtype == torch.uint8:
        ends = [(0, width - 1), (0, height - 1), *[(0, 255)] * channels]
    return _normalised(features, stds, ends)


def _positions(batch: int, height: int, width: int, device: torch.device) -> Tensor:
    """x and y, float32 B×2×H×W."""
    x = torch.arange(width, device=device, dtype=torch.float32).expand(height, width)
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None].expand(height, width)
    return torch.stack([x, y]).expand(batch, -1, -1, -1)


def _normalised(
    features: Tensor, stds: tuple[float, ...], ends: list[tuple[int, int]] | None
) -> tuple[TorchLattice, Tensor]:
    by = constant(stds, torch.float32, features.device)  # not by the reciprocal
    scaled_ends = None if ends is None else np.array(ends, float) / np.array(stds, np.float32)[:, None]
    lattice = torch_lattice(features.permute(0, 2, 3, 1).flatten(1, 2) / by, scaled_ends)
    ones = torch.ones(len(lattice.vertices), 1, device=features.device)
    return lattice, LatticeFilter.apply(ones, lattice) + 1e-20
