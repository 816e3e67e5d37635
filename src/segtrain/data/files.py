"""Pictures and masks in files: read as they are stored, checked as they are read."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.utils.data import Dataset

from segtrain.data.sample import VOID, Sample
from segtrain.errors import InputError

INDEX_MODES = ("1", "L", "P", "I;16", "I")  # one number a pixel, and never a colour


class Pair(NamedTuple):
    """A picture, its mask, and the name that messages and predictions use."""

    name: str
    image: Path
    mask: Path


class PairedFiles(Dataset):
    """A split whose pictures and masks are files.

    Args:
        pairs: what is in the split.
        num_classes: labels are 0 .. num_classes-1, or 255 for void.
        label_map: stored value -> label, for the values that are not stored as labels.

    Raises:
        InputError: no pair, or a file is missing; on reading, a file that is damaged, of another
            size than its picture, not an index mask, or with a label outside the classes.
    """

    def __init__(self, pairs: list[Pair], *, num_classes: int, label_map: Mapping[int, int] | None = None):
        missing = [path for pair in pairs for path in (pair.image, pair.mask) if not path.is_file()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(
                f"{missing[0]}: no such file{more}, though the split lists it",
                do="add the file or take its line out of the list",
            )
        if not pairs:
            raise InputError("the split is empty", do="check the list file")
        self.pairs, self.num_classes, self.label_map = pairs, num_classes, dict(label_map or {})

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        name, image_path, mask_path = self.pairs[index]
        image, mask = read_image(image_path), read_mask(mask_path)
        if mask.shape != image.shape[:2]:
            raise InputError(
                f"{mask_path}: the mask is {_size(mask)}, its picture {image_path} is {_size(image)}",
                do="both must have the same size",
            )
        return Sample(image, self._labels(mask, mask_path), name)

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        """A sample's mask and name, without reading its picture. Raises InputError."""
        name, _, path = self.pairs[index]
        return self._labels(read_mask(path), path), name

    def identity(self) -> list:
        """A JSON value that changes with the masks' names, places, sizes or times. Raises OSError."""
        masks = [[pair.name, *stamp(pair.mask)] for pair in self.pairs]
        return [self.num_classes, sorted(self.label_map.items()), masks]

    def _labels(self, mask: np.ndarray, path: Path) -> np.ndarray:
        """The mask as uint8 labels; the range is checked first, since a cast would wrap 300 to 44."""
        labels = mask
        for stored, label in self.label_map.items():
            labels = np.where(mask == stored, label, labels)
        outside = labels[(labels != VOID) & ((labels < 0) | (labels >= self.num_classes))]
        if outside.size:
            raise InputError(
                f"{path}: label {outside.flat[0]} ({outside.size} pixels) is outside the classes"
                f" 0..{self.num_classes - 1} and is not {VOID} (void)",
                do="correct the mask, or data.num_classes",
            )
        return labels.astype(np.uint8)


class SplitsByList:
    """`train` and `val` of a data set whose `split(name)` reads a list, each when first asked for."""

    train_split: str
    val_split: str

    @cached_property
    def train(self) -> PairedFiles:
        return self.split(self.train_split)

    @cached_property
    def val(self) -> PairedFiles:
        return self.split(self.val_split)


def stamp(path: Path) -> list:
    """Where a file is, its size and its time. Raises OSError."""
    status = path.stat()
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"


def _open(path: Path) -> Image.Image:
    try:
        with path.open("rb") as file:
            image = Image.open(file)
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InputError(f"{path}: cannot be read ({reason})", do="get the file anew") from error
    return image


def read_image(path: Path) -> np.ndarray:
    """uint8 H×W×3 RGB, upright: a camera's EXIF orientation is applied. Raises InputError."""
    return np.asarray(ImageOps.exif_transpose(_open(path)).convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """The stored numbers, H×W, of an index or palette picture. Raises InputError.

    Nothing is converted: a palette picture's `.convert("L")` would turn class 3 into 113.
    """
    mask = _open(path)
    if mask.mode not in INDEX_MODES:
        raise InputError(
            f"{path}: the mask has colours (mode {mask.mode}), not one class index a pixel",
            do="store masks as grey or palette PNG",
        )
    return np.asarray(mask)


def read_list(path: Path) -> list[str]:
    """The lines of a split's list file that are not empty. Raises InputError."""
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", do="check data.root and the split") from error


def find_root(data: str, root: str, inside: tuple[str, ...], marker: str, how_to_get: str) -> Path:
    """The first of `root` and its `inside` folders that holds `marker`.

    Raises:
        InputError: none does; the message names every place that was looked at.
    """
    places = [Path(root).expanduser() / folder for folder in ("", *inside)]
    for place in places:
        if (place / marker).exists():
            return place
    looked = ", ".join(str(place) for place in places)
    raise InputError(f"data.root={root}: {data} not found, no {marker} in {looked}", do=how_to_get)
