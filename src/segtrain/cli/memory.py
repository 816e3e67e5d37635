"""Memory that is too small: what takes it, by the keys that change it."""

import re
from typing import Any

from segtrain.errors import InputError, is_gpu_out_of_memory, is_out_of_memory


def out_of_memory(error: Exception, root: str, config: Any) -> InputError | None:
    """The line for an error of torch's allocators or NumPy's; None for any other error.

    Args:
        error: what a command raised.
        root: its root config, `train`.
        config: composed.
    """
    if not is_out_of_memory(error) or root not in ("train", "eval", "predict"):
        return None
    where = "the GPU's memory" if is_gpu_out_of_memory(error) else "the memory"
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ ?[A-Za-z]+)", str(error))
    more = f", {asked[1]} more were wanted" if asked else ""
    if root != "train":
        return InputError(
            f"{where} is too small for batch_size={config['batch_size']}{more}"
            if "batch_size" in config
            else f"{where} is too small{more}",
            do="use batch_size=1, precision=bf16, inference=sliding or device=cpu",
        )
    batch, accumulate = config["batch_size"], config["accumulate"]
    keys = f"batch_size={batch} accumulate={accumulate}{_crop(config)}"
    half = f"batch_size={batch // 2} accumulate={2 * accumulate}" if batch > 1 and batch % 2 == 0 else ""
    same = f"use {half}, which makes the same steps, " if half else "use "
    return InputError(
        f"{where} is too small for {keys}{more}",
        do=f"{same}a smaller augment.crop or precision=bf16; last.ckpt is whole: resume=auto goes on from it",
    )


def _crop(config: Any) -> str:
    """The size of the images that a step has, where the augmentation crops to one."""
    crop = (config.get("augment") or {}).get("crop") or {}
    if "height" not in crop or "width" not in crop:
        return ""
    return f" augment.crop.height={crop['height']} augment.crop.width={crop['width']}"
