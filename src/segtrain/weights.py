"""Published weights: where they come from, read without executing anything they carry."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segtrain.errors import InputError

Pretrained = bool | str  # no, torchvision's, or a local file of torchvision's

# What training runs wrap a network's tensors in, and DataParallel puts before their names.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")
PARALLEL = "module."


def torchvision_state(name: str, pretrained: Pretrained) -> dict[str, Tensor]:
    """The ImageNet weights of torchvision's model `name`, by torchvision's own tensor names.

    Args:
        name: as in `torchvision.models`.
        pretrained: True downloads them (or takes them from torch's cache); a path reads a file,
            `.pth` or `.safetensors`, that was got earlier.

    Raises:
        InputError: the file is missing or is not a file of tensors.
    """
    if pretrained is True:
        from torchvision.models import get_model_weights

        return get_model_weights(name).DEFAULT.get_state_dict(progress=True, check_hash=True)
    return read_tensors(str(pretrained), "pretrained", wanted=f"torchvision's file for {name}")


def read_tensors(path: str | Path, key: str, *, wanted: str) -> dict[str, Tensor]:
    """The tensors of a file by their names there: safetensors, npz, or torch's own format.

    Args:
        key: what the user gave the path by; wanted: what else to give, both for messages.

    Raises:
        InputError: no such file, or it holds anything but tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{key}={path}: no such file", do=f"give {wanted}")
    try:
        state = _read(path)
    except Exception as error:  # whatever a file of another kind makes its reader raise
        raise InputError(
            f"{key}={path}: not a file of tensors ({type(error).__name__})", do=f"give {wanted}"
        ) from error
    if not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError(f"{key}={path}: holds other things than tensors", do=f"give {wanted}")
    if all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    state = torch.load(path, map_location="cpu", weights_only=True)
    return next((state[name] for name in WRAPPERS if isinstance(state.get(name), dict)), state)
