"""Published weights: where they come from, read without executing anything they carry."""

from pathlib import Path

import torch
from torch import Tensor

from segtrain.errors import InputError

Pretrained = bool | str  # no, torchvision's, or a local file of torchvision's


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
    path = Path(str(pretrained)).expanduser()
    if not path.is_file():
        raise InputError(f"pretrained={pretrained}: no such file", do="give a file, or true to download")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"pretrained={pretrained}: not a file of tensors ({type(error).__name__})",
            do=f"give torchvision's file for {name}",
        ) from error
