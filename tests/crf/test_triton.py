"""The Triton kernels: in Triton's interpreter, which needs no GPU, and compiled for one."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from segtrain.crf import dense_crf
from segtrain.crf.potentials import read_kernels
from segtrain.crf.torch_backend import triton_kernels
from segtrain.crf.torch_backend.backend import batch_marginals
from segtrain.errors import InputError
from tests.crf.conftest import network_softmax, photograph

INTERPRETED = """
import numpy as np
from segtrain.crf.torch_backend.triton_backend import triton_marginals
from tests.crf.test_triton import batch, kernels

np.save("refined.npy", triton_marginals(*batch(5, 2, 4, 5), kernels(5, "symmetric"), 2).numpy())
"""
POINTERS = {  # of the arguments that are no numbers
    **dict.fromkeys(["marginals", "parts", "values", "blurred", "before", "after", "weights"], "*fp32"),
    **dict.fromkeys(["pixels", "begins", "ends", "firsts", "further", "back", "vertices"], "*i32"),
}
CONSTANTS = {"S": 32, "E": 32, "BLOCK": 16, "CORNERS": 6, "SOFTMAX": True}


def batch(labels: int, count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = np.stack([photograph(height, width, i) for i in range(count)]).transpose(0, 3, 1, 2)
    softmax = np.stack([network_softmax(labels, height, width, i) for i in range(count)])
    return torch.from_numpy(images), torch.from_numpy(softmax)


def kernels(labels: int, normalization: str):
    gaussian = {"sxy": 1.5, "compat": 3, "normalization": normalization}
    bilateral = {"sxy": 20, "srgb": 30, "compat": 5, "normalization": normalization}
    return read_kernels(gaussian, bilateral, 3, labels)


def test_the_kernels_compute_what_torchs_operations_do(tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", INTERPRETED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("the interpreter of this Triton (3.6) does not get on with NumPy from 2.5 on")
    assert done.returncode == 0, done.stderr
    expected = batch_marginals(*batch(5, 2, 4, 5), kernels(5, "symmetric"), 2)
    refined = np.load(tmp_path / "refined.npy")
    assert refined.shape == expected.shape
    assert np.abs(refined - expected.numpy()).max() < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["splat_chunks", "sum_chunks", "blur", "slice_lattice"])
def test_the_kernels_compile_for_a_gpu(name):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    kernel = getattr(triton_kernels, name)
    constants = {(i,): CONSTANTS[arg] for i, arg in enumerate(kernel.arg_names) if arg in CONSTANTS}
    signature = {
        arg: "constexpr" if arg in CONSTANTS else POINTERS.get(arg, "i32") for arg in kernel.arg_names
    }
    source = ASTSource(
        kernel, signature=signature, constexprs={(i,): value for i, value in constants.items()}
    )
    assert compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_backend_is_refused():
    image, softmax = photograph(5, 7), network_softmax(3, 5, 7)
    with pytest.raises(InputError, match=r"backend=triton must have a GPU, got none; give backend=auto"):
        dense_crf(image, softmax, backend="triton")


@pytest.mark.gpu
@pytest.mark.parametrize("labels", [1, 3, 21])
def test_on_a_gpu_it_gives_what_torch_gives(cuda, labels):
    images, softmax = (part.to(cuda) for part in batch(labels, 2, 61, 83))
    from segtrain.crf.torch_backend.triton_backend import triton_marginals

    for normalization in ("symmetric", "after", "before"):
        several = kernels(labels, normalization)
        expected = batch_marginals(images, softmax, several, 10)
        assert (triton_marginals(images, softmax, several, 10) - expected).abs().max() < 1e-4
