"""Published weights: where they come from, read without executing anything they carry."""

import logging
import re
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.files import user_path
from segtrain.input_spec import RGB_CHANNELS

Pretrained = bool | str  # no, torchvision's, or a local file of torchvision's

# What training runs wrap a network's tensors in; otherwise it is the only dict of tensors alone.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")
# What DataParallel, Lightning and torch.compile put before all names, also one after the other.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


class Attributes(dict):
    """Stands for an argparse.Namespace in a file: what it held, as a dict."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.update(state)


class Skipped:
    """Stands for an object in a file that is no tensor and is not looked at; takes anything, does nothing."""

    def __init__(self, *values: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


# What may stand beside the tensors in a training run's file, by the name in its pickle: a best score that
# is a numpy scalar (pytorch-fcn), options (torchvision's references), a log of losses (mmengine). Nothing
# of these libraries is called: the classes above are built instead, and any other name is refused.
NUMPY = ("core.multiarray", "_core.multiarray")
STAND_INS: list[Any] = [
    (Attributes, "argparse.Namespace"),
    *((Skipped, f"numpy.{module}.{name}") for module in NUMPY for name in ("scalar", "_reconstruct")),
    *((Skipped, f"numpy.{name}") for name in ("dtype", "ndarray")),
    (Skipped, "mmengine.logging.history_buffer.HistoryBuffer"),
]


def torchvision_state(name: str, pretrained: Pretrained) -> dict[str, Tensor]:
    """The ImageNet weights of torchvision's model `name`, by torchvision's own tensor names.

    Args:
        name: as in `torchvision.models`.
        pretrained: True downloads them (or takes them from torch's cache); a path reads a file,
            `.pth` or `.safetensors`, that was got earlier.

    Raises:
        InputError: the file is missing or is not a file of tensors, or cannot be downloaded.
    """
    if pretrained is True:
        from torchvision.models import get_model_weights

        path = downloaded(get_model_weights(name).DEFAULT.url)
        return read_tensors(path, "pretrained", wanted="another, or remove it: it is downloaded again")
    return read_tensors(str(pretrained), "pretrained", wanted=f"torchvision's file for {name}")


def downloaded(url: str) -> Path:
    """The file of a URL in torch's cache, where it is downloaded to once.

    Raises:
        InputError: there is no network; the message names the cache and the file to copy there.
    """
    folder = user_path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlparse(url).path).name
    if path.is_file():
        return path
    digest = re.search(r"-([0-9a-f]{8,})\.", path.name)  # torchvision's files carry it in their names
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest and digest[1])
    except (OSError, RuntimeError, HTTPException) as error:  # the network's, the disk's, another digest
        raise InputError(
            f"pretrained=true: {path.name} is not in {folder} and cannot be downloaded ({_short(error)})",
            do=f"where there is a network, get {url} and copy it there, or give pretrained=FILE",
        ) from error
    return path


def from_hub(
    repository: str, filename: str, revision: str | None = None, *, asked: str = "pretrained=true"
) -> Path:
    """A file of the Hugging Face Hub in its cache, where it is downloaded to once.

    Args:
        repository: USER/NAME.
        filename: in it.
        revision: a branch, tag or commit.
        asked: what the user wrote to get it, for the message.

    Raises:
        InputError: there is no network; the message names the cache and the folder to copy there.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    user_path(constants.HF_HUB_CACHE)  # or a folder named ~ would be made here
    cached = try_to_load_from_cache(repository, filename, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)  # or each of its tries is a warning
    try:
        return Path(hf_hub_download(repository, filename, revision=revision))
    except Exception as error:  # its own, those of its HTTP library, and the disk's
        folder = f"models--{repository.replace('/', '--')}"
        raise InputError(
            f"{asked}: {filename} of {repository} is not in {constants.HF_HUB_CACHE} and cannot be"
            f" downloaded ({_short(error)})",
            do=f"where there is a network, do: hf download {repository} {filename}; then copy {folder} from"
            " its cache into this one, or give FILE instead: pretrained=FILE, ckpt=FILE",
        ) from error
    finally:
        logger.setLevel(level)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:100]}" if text else type(error).__name__


def load_pretrained(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Loads weights that were trained on RGB; the first convolution is fitted to other input channels.

    As in segmentation_models.pytorch: for one channel the kernels are summed over RGB; for n channels
    they are repeated (RGBRGB...) and multiplied by 3/n, so that a grey image that is stored n times
    gives the features that it gave before.

    Args:
        state: by the module's own names.
    """
    own = module.state_dict()
    fitted = {name: fit_image_kernels(given, own[name]) for name, given in state.items() if name in own}
    module.load_state_dict(state | fitted)


def fit_image_kernels(weight: Tensor, own: Tensor) -> Tensor:
    """A tensor that may be kernels over RGB, for a parameter that may see other channels.

    Args:
        weight: any tensor.
        own: the parameter that it is for.

    Returns:
        The kernels for the channels of `own` where nothing but their number differs and `weight` is
        over RGB, else `weight` itself.
    """
    if weight.ndim != 4 or own.ndim != 4 or weight.shape[1] != RGB_CHANNELS:
        return weight
    channels = own.shape[1]
    alike = weight.shape[0] == own.shape[0] and weight.shape[2:] == own.shape[2:]
    return fit_channels(weight, channels) if alike and channels != RGB_CHANNELS else weight


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """Kernels O×3×h×w over RGB for other channels (`load_pretrained`)."""
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % RGB_CHANNELS] * (RGB_CHANNELS / channels)


def read_tensors(path: str | Path, key: str, *, wanted: str) -> dict[str, Tensor]:
    """The tensors of a file by their names there: safetensors, npz, or torch's own format.

    Args:
        key: what the user gave the path by; wanted: what else to give, both for messages.

    Raises:
        InputError: no such file, or it is damaged or holds anything but tensors.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"{key}={path}: no such file", do=f"give {wanted}")
    try:
        state = _read(path)
    except Exception as error:  # whatever a file of another kind makes its reader raise
        raise _refusal(f"{key}={path}", error, wanted) from error
    other = next((name for name, value in state.items() if not isinstance(value, Tensor)), None)
    if not state or other is not None:
        held = f"{other} is no tensor" if state else "it is empty"
        raise InputError(f"{key}={path}: {held}", do=f"give {wanted}")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    with torch.serialization.safe_globals(STAND_INS):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"a {type(state).__name__}")
    named = [state[name] for name in WRAPPERS if isinstance(state.get(name), dict)]
    others = [value for value in state.values() if _only_tensors(value)]
    return named[0] if named else others[0] if len(others) == 1 else state


def _only_tensors(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _refusal(file: str, error: Exception, wanted: str) -> InputError:
    """What is wrong with a file that its reader refused."""
    text = str(error)
    if "Object arrays" in text:
        return InputError(f"{file}: has arrays of objects, which are not unpickled", do="store numbers alone")
    if code := re.search(r"nsupported (?:global: )?GLOBAL ([\w.]+)", text):
        do = "store the tensors alone, as torch.save(model.state_dict(), FILE) does"
        return InputError(f"{file}: has code in it ({code[1]}), which is not run", do=do)
    if isinstance(error, MemoryError):
        return InputError(f"{file}: does not fit into memory", do=f"give {wanted}")
    return InputError(
        f"{file}: not a file of tensors, or cut short ({type(error).__name__})", do=f"give {wanted}"
    )
