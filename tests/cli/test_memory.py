import pytest
import torch

from segtrain.cli.memory import out_of_memory
from segtrain.engine import checkpoint
from segtrain.models.fcn import FCN
from tests.cli.test_errors import refused

ASKED = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 139.80 GiB"


def failing(monkeypatch, calls: int, error: Exception):
    """Lets the network's memory end at a forward pass."""
    forward, seen = FCN.forward, []

    def limited(self, images):
        seen.append(images)
        if len(seen) > calls:
            raise error
        return forward(self, images)

    monkeypatch.setattr(FCN, "forward", limited)


def test_a_full_gpu_is_one_line_with_the_keys_that_change_it_and_no_step_is_lost(tiny, monkeypatch):
    failing(monkeypatch, 4, torch.OutOfMemoryError(ASKED))  # the first pass is over grey images
    sides = [f"augment.{key}=32" for key in ("pad.min_height", "pad.min_width", "crop.height", "crop.width")]
    out = tiny("model=fcn8s", "augment=crop", *sides, "max_steps=9", "checkpoint_every=1")
    keys = "batch_size=2 accumulate=1 augment.crop.height=32 augment.crop.width=32"
    words = [f"the GPU's memory is too small for {keys}, 2.50 GiB more were wanted"]
    refused(out, *words, "use batch_size=1 accumulate=2, which makes the same steps", "resume=auto")
    assert checkpoint.load(out.folder / "checkpoints/last.ckpt").meta["step"] == 3


def test_a_run_that_takes_no_step_for_want_of_memory_leaves_no_folder(tiny, monkeypatch):
    failing(monkeypatch, 0, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    out = tiny("model=fcn8s", "batch_size=3")
    refused(out, "the memory is too small for batch_size=3 accumulate=1; use a smaller augment.crop")
    assert not out.folder.exists()


@pytest.mark.parametrize("error", [RuntimeError("sizes of tensors must match"), ValueError("memory")])
def test_other_errors_are_no_want_of_memory(error):
    assert out_of_memory(error, "train", {"batch_size": 1, "accumulate": 1}) is None


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_libraries_of_cuda_have_other_words_for_it(words):
    said = str(out_of_memory(RuntimeError(words), "eval", {"batch_size": 8}))
    assert said.startswith("the GPU's memory is too small for batch_size=8; use batch")


def test_an_evaluation_hears_of_its_own_keys():
    said = str(out_of_memory(torch.OutOfMemoryError(ASKED), "eval", {"batch_size": 8}))
    assert said.startswith(
        "the GPU's memory is too small for batch_size=8, 2.50 GiB more were wanted; use batch"
    )
    assert "inference=sliding" in said
    assert "accumulate" not in said
