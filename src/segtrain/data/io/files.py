"""Images and masks in files: read as they are stored, checked as they are read."""

import codecs
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence
from torch.utils.data import Dataset

from segtrain.contracts import IGNORE_INDEX, Pair, Sample
from segtrain.data.checks.refusal import refuse
from segtrain.data.io.image_files import ImageFiles
from segtrain.data.io.images import read_image
from segtrain.data.io.labels import as_labels
from segtrain.data.io.masks import read_mask
from segtrain.data.io.opening import FORMATS, check_regular, reading, unequal_sizes
from segtrain.errors import InputError, MissingData, NoSplit
from segtrain.files import content_of, user_path

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class PairedFiles(Dataset):
    """A split whose images and masks are files.

    Args:
        pairs: what is in the split.
        num_classes: labels are 0 .. num_classes-1, or 255 to ignore a pixel.
        label_map: stored value -> label, for the values that are not stored as labels.
        read: gives the stored numbers (H×W, integers) of a mask's path; None reads images.
        image_files: gives what the images are; None for RGB with 8 bits.

    Raises:
        InputError: no pair, or a file is missing; on reading, a file that is damaged, of another
            size than its image, not an index mask, or with a label outside the classes.
    """

    def __init__(
        self,
        pairs: list[Pair],
        *,
        num_classes: int,
        label_map: Mapping[int, int] | None = None,
        read: Callable[[Path], np.ndarray] | None = None,
        image_files: Callable[[], ImageFiles] | None = None,
    ):
        missing = [path for pair in pairs for path in (pair.image, pair.mask) if not path.is_file()]
        refuse(
            [f"{path}: no such file, though the split lists it" for path in missing],
            do="add the file or take its line out of the list",
        )
        if not pairs:
            raise InputError("the split is empty", do="check the list file")
        self.pairs, self.num_classes, self.label_map = pairs, num_classes, dict(label_map or {})
        self.read, self.image_files = read or read_mask, image_files

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        name, image_path, mask_path = self.pairs[index]
        (image, invalid), mask = self.image_with_invalid(index), self.stored(index)
        if mask.shape != image.shape[:2]:
            raise InputError(
                f"{mask_path}: {unequal_sizes(image, mask, image_path, mask_path)}",
                do="both must have the same size",
            )
        labels = self._labels(mask, mask_path)
        if invalid is not None:
            labels[invalid] = IGNORE_INDEX
        return Sample(image, labels, name)

    def image_with_invalid(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A sample's image, and bool H×W where it has no data, or None. Raises InputError."""
        if self.image_files is None:
            return self.image(index), None
        return self.image_files().reader.with_invalid(self.pairs[index].image)

    def image(self, index: int) -> np.ndarray:
        """A sample's image, H×W×C, RGB with 8 bits but where a data set says otherwise. Raises InputError."""
        if self.image_files is None:
            return read_image(self.pairs[index].image)
        return self.image_with_invalid(index)[0]

    def stored(self, index: int) -> np.ndarray:
        """The numbers of a sample's mask as they are stored, H×W. Raises InputError."""
        return self.read(self.pairs[index].mask)

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        """A sample's mask and name, without reading its image. Raises InputError."""
        name, _, path = self.pairs[index]
        return self._labels(self.stored(index), path), name

    def source(self, index: int) -> tuple[str, Path]:
        """A sample's name and image file."""
        return self.pairs[index][:2]

    def identity(self) -> list:
        """A JSON value that changes with the masks' names, paths, sizes or times. Raises OSError."""
        masks = [[pair.name, *stamp(pair.mask)] for pair in self.pairs]
        return [self.num_classes, sorted(self.label_map.items()), masks]

    def _labels(self, mask: np.ndarray, path: Path) -> np.ndarray:
        return as_labels(mask, self.label_map, self.num_classes, str(path))


class Images(Dataset):
    """A split without labels, as those that servers score: every mask is ignored.

    Args:
        images: names and paths.

    Raises:
        InputError: no image, or a file is missing; on reading, a file that is damaged.
    """

    def __init__(self, images: list[tuple[str, Path]]):
        missing = [path for _, path in images if not path.is_file()]
        refuse([f"{path}: no such file, though the split lists it" for path in missing], do="add the file")
        if not images:
            raise InputError("the split is empty", do="check the list file")
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        name, path = self.images[index]
        image = read_image(path)
        return Sample(image, np.full(image.shape[:2], IGNORE_INDEX, np.uint8), name)

    def source(self, index: int) -> tuple[str, Path]:
        """A sample's name and image file."""
        return self.images[index]


class SplitsByList:
    """`train`, `val` and `test` of a data set whose `split(name)` reads a list, each when first asked for."""

    train_split: str
    val_split: str
    test_split: str | None

    def split(self, name: str) -> Any:
        """The split of a name. Raises InputError."""
        raise NotImplementedError

    def place(self, name: str) -> Path:
        """The list or folder that a split is read from."""
        raise NotImplementedError

    @cached_property
    def train(self) -> PairedFiles:
        return self.split(self.train_split)

    @cached_property
    def val(self) -> PairedFiles:
        return self.split(self.val_split)

    @cached_property
    def test(self) -> Any:
        if self.test_split is None:
            raise NoSplit("data.test_split is null", do="set data.test_split")
        if self.test_split == self.val_split:
            return self.val
        if not self.place(self.test_split).exists():
            raise NoSplit(f"no {self.place(self.test_split)}", do="put it there")
        return self.split(self.test_split)


def stamp(path: Path) -> list:
    """Where a file is, its size and its time. Raises OSError."""
    status = path.stat()
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def read_pages(path: Path) -> np.ndarray:
    """uint8 N×H×W, the pages of a grey TIFF. Raises InputError."""
    check_regular(path)
    with reading(path), Image.open(path, formats=FORMATS) as stack:
        pages = np.stack([np.asarray(page) for page in ImageSequence.Iterator(stack)])
    if pages.ndim != 3 or pages.dtype != np.uint8:
        raise InputError(f"{path}: its pages are not 8-bit grey", do="get the file anew")
    return pages


def read_list(path: Path) -> list[str]:
    """The lines of a list file that are not empty, without the blanks around them. Raises InputError.

    Windows' line ends and byte order marks do not matter; with its mark UTF-16 is read, too.
    """
    try:
        content = content_of(path)
        text = content.decode("utf-16" if content[:2] in UTF_16 else "utf-8")
        if "\0" in text:
            raise UnicodeDecodeError("utf-8", content, 0, 1, "UTF-16 without its mark, or UTF-32")
    except (OSError, UnicodeDecodeError) as error:
        coding = isinstance(error, UnicodeDecodeError)
        reason = "it is not UTF-8" if coding else error
        do = "store it as UTF-8" if coding else "check data.root and the split"
        raise InputError(f"{path}: cannot be read ({reason})", do=do) from error
    text = text.replace("\ufeff", "").replace("\r", "\n")  # several files in one have a mark each
    return [line.strip() for line in text.split("\n") if line.strip()]


def find_root(
    data: str, root: str, inside: tuple[str, ...], marker: str | tuple[str, ...], how_to_get: str
) -> Path:
    """The first of `root` and its `inside` folders that holds `marker`, a file or folder, or one of them.

    Raises:
        InputError: none does; the message names every place that was looked at.
    """
    candidates = [user_path(root) / folder for folder in ("", *inside)]
    markers = (marker,) if isinstance(marker, str) else marker
    for place in candidates:
        if any((place / name).exists() for name in markers):
            return place
    looked, wanted = ", ".join(map(str, candidates)), " or ".join(markers)
    raise MissingData(f"data.root={root}: {data} not found, no {wanted} in {looked}", do=how_to_get)
