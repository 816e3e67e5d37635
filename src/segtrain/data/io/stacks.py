"""Masks of several labels a pixel: a folder with a PNG for each class, or one array."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segtrain.contracts import IGNORE_INDEX
from segtrain.data.io.listing import is_image
from segtrain.data.io.masks import read_mask
from segtrain.errors import MaskError

IGNORED = "ignored"  # the name of the file whose pixels count for no class


def class_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by their names without suffix."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.is_file() and is_image(path)}


def file_name(class_name: str) -> str:
    """What a class's file is called, without suffix."""
    return class_name.replace("/", "_")


def read_stack(path: Path, class_names: Sequence[str]) -> np.ndarray:
    """Reads a mask of several labels a pixel.

    Args:
        path: NAME.npz with one array C×H×W of 0, 1 and 255 (ignored); or a file of the folder NAME, which
            holds CLASS.png, where every number but 0 is the class, and ignored.png if it likes. A class
            without a file is nowhere in the image.
        class_names: of the classes, in order.

    Returns:
        uint8 H×W×C of 0, 1 and 255.

    Raises:
        InputError: a damaged file, another number of classes, sizes that differ, a file of no class.
    """
    if path.suffix.lower() == ".npz":
        return _from_array(path, len(class_names))
    files, names = class_files(path.parent), [file_name(name) for name in class_names]
    for stem, file in files.items():
        if stem not in (*names, IGNORED):
            raise MaskError(
                f"{file}: no class is called {stem}, there are {', '.join(class_names)}",
                do="rename it, or add it to data.class_names",
            )
    masks = {stem: read_mask(file) != 0 for stem, file in files.items()}
    first = next(iter(masks.values()))
    for stem, mask in masks.items():
        if mask.shape != first.shape:
            raise MaskError(f"{files[stem]}: another size than {next(iter(files.values()))}", do="resize it")
    nothing = np.zeros(first.shape, bool)
    stack = np.stack([masks.get(name, nothing) for name in names], -1).astype(np.uint8)
    stack[masks.get(IGNORED, nothing)] = IGNORE_INDEX
    return stack


def _from_array(path: Path, classes: int) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = [arrays[name] for name in arrays.files]
    except Exception as error:  # a damaged archive leads zipfile into errors of every kind
        raise MaskError(f"{path}: cannot be read ({error})", do="get the file anew") from error
    if len(found) != 1 or found[0].ndim != 3 or found[0].shape[0] != classes:
        shapes = ", ".join("×".join(map(str, array.shape)) for array in found) or "nothing"
        raise MaskError(f"{path}: holds {shapes}", do=f"store one array of {classes}×H×W")
    stack = np.moveaxis(found[0], 0, -1)
    values = np.unique(stack).tolist()
    if not set(values) <= {0, 1, IGNORE_INDEX}:
        other = next(value for value in values if value not in (0, 1, IGNORE_INDEX))
        raise MaskError(f"{path}: holds {other}", do=f"store 0, 1 and {IGNORE_INDEX} (ignored)")
    return np.ascontiguousarray(stack, np.uint8)
