from importlib.util import find_spec

import numpy as np
import pytest

BACKENDS = [
    pytest.param("numba", marks=pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")),
    "torch",
    pytest.param(
        "pydensecrf",
        marks=pytest.mark.skipif(not find_spec("pydensecrf"), reason="pydensecrf is not installed"),
    ),
]


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


def photograph(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Smooth patches with a little noise, uint8 H×W×K."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (height // 12 + 1, width // 12 + 1, channels))
    patches = coarse.repeat(12, 0).repeat(12, 1)[:height, :width]
    return (patches + rng.normal(0, 6, (height, width, channels))).clip(0, 255).astype(np.uint8)


def network_softmax(labels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """What a network gives: smooth, confident but at the borders of regions; float32 C×H×W."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (labels, height // 8 + 2, width // 8 + 2)).repeat(8, 1).repeat(8, 2)
    for axis in (1, 2):
        logits = sum(np.roll(logits, shift, axis) for shift in range(8)) / 8
    logits = logits[:, 4 : height + 4, 4 : width + 4]
    exponentials = np.exp(logits - logits.max(0))
    return (exponentials / exponentials.sum(0)).astype(np.float32)
