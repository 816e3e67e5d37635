"""PASCAL VOC 2012, segmentation.

"The PASCAL Visual Object Classes Challenge: A Retrospective", Everingham et al., IJCV 2015.
Devkit layout: JPEGImages/ID.jpg, SegmentationClass/ID.png (palette, 255 = ignored),
SegmentationObject/ID.png (the same by object), ImageSets/Segmentation/SPLIT.txt with 1464
(train), 1449 (val) and 2913 (trainval) images.
"""

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from segtrain.contracts import Colour, Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.datasets.submission import Submission
from segtrain.data.io.files import (
    Images,
    PairedFiles,
    SplitsByList,
    find_root,
    read_list,
    stamp,
)
from segtrain.data.io.masks import read_mask
from segtrain.data.io.mat import read_mat
from segtrain.errors import InputError
from segtrain.files import user_path

CLASS_NAMES = tuple(
    """background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse
    motorbike person pottedplant sheep sofa train tvmonitor""".split()
)
TEST = "test"  # the split whose labels the server keeps
BELOW = ("VOC2012", "VOCdevkit/VOC2012")  # where it may lie below data.root


def voc_palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    """The devkit's colours: bits 0, 1, 2 of the label, then 3, 4, 5, from the highest bit down."""
    colours: list[Colour] = []
    for label in range(classes):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (label >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append((colour[0], colour[1], colour[2]))
    return tuple(colours)


class VOC(SplitsByList):
    """VOC 2012's splits.

    Args:
        root: the folder with JPEGImages, or a parent with VOC2012 or VOCdevkit/VOC2012 below.
        train_split, val_split, test_split: names in ImageSets/Segmentation; `test` has no labels.
        download: gets the 2 GB archive through torchvision, md5 checked, into `root`.
        num_classes: must be 21.
    """

    class_names = CLASS_NAMES
    palette = voc_palette(21)

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str | None = TEST,
        download: bool = False,
        num_classes: int = 21,
    ):
        check_num_classes("voc", num_classes, self.class_names)
        if download:
            download_voc(root)
        how_to_get = "set data.root, or get it with data.download=true (2 GB)"
        self.root = find_root("VOC 2012", root, BELOW, "JPEGImages", how_to_get)
        self.lists = self.root / "ImageSets" / "Segmentation"
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    @property
    def submission(self) -> Submission:
        return voc_submission(self)

    def place(self, name: str) -> Path:
        return self.lists / f"{name}.txt"

    def split(self, name: str) -> PairedFiles | Images:
        """The images that ImageSets/Segmentation/`name`.txt lists."""
        if name == TEST:
            return Images([(i, self.root / f"JPEGImages/{i}.jpg") for i in self.ids(name)])
        return VOCSplit([self.masks(i) for i in self.ids(name)])

    def ids(self, name: str) -> list[str]:
        """The names of a split's images. Raises InputError."""
        return read_list(self.lists / f"{name}.txt")

    def masks(self, name: str) -> tuple[Pair, Path]:
        """An image with its mask, and the path of the mask of its objects."""
        image, mask = self.root / f"JPEGImages/{name}.jpg", self.root / f"SegmentationClass/{name}.png"
        return Pair(name, image, mask), self.root / f"SegmentationObject/{name}.png"


class VOCSplit(PairedFiles):
    """Images whose masks are VOC's palette PNG or SBD's .mat.

    Args:
        masks: of each image its pair, and the path of its objects' mask, which need not be there.
    """

    def __init__(self, masks: list[tuple[Pair, Path]]):
        super().__init__([pair for pair, _ in masks], num_classes=21, read=_read_classes)
        self.objects = [path for _, path in masks]

    def instances(self, index: int) -> np.ndarray | None:
        """The number of the object in each pixel (H×W, 0 and 255 are none), or None. Raises InputError."""
        path = self.objects[index]
        if not path.is_file():
            return None
        return read_mat(path, ("GTinst", "Segmentation")) if path.suffix == ".mat" else read_mask(path)

    def identity(self) -> list:
        return [*super().identity(), [stamp(path) for path in self.objects if path.is_file()]]


def voc_submission(data: SplitsByList) -> Submission:
    """comp6 is for networks trained on other data too; those that were not belong into comp5."""
    path = "results/VOC2012/Segmentation/comp6_{split}_cls/{name}.png"
    splits = ("train", data.train_split), ("val", data.val_split), ("test", data.test_split or TEST)
    return Submission(path, tuple(range(21)), VOC.palette, splits)


def _read_classes(path: Path) -> np.ndarray:
    return read_mat(path, ("GTcls", "Segmentation")) if path.suffix == ".mat" else read_mask(path)


def download_voc(root: str) -> None:
    """Gets VOC 2012 where it is not there yet, into `root`/VOCdevkit/VOC2012. Raises InputError."""
    folder = user_path(root)
    if any((folder / below / "JPEGImages").is_dir() for below in ("", *BELOW)):
        return
    with downloading("VOC 2012", folder):
        from torchvision.datasets import VOCSegmentation

        VOCSegmentation(str(folder), year="2012", download=True)


@contextmanager
def downloading(data: str, folder: Path) -> Iterator[None]:
    """Makes the folder for what torchvision downloads and unpacks, and turns its errors into InputError."""
    # Before Python 3.14 an archive may write outside its folder unless this filter is set.
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, RuntimeError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"data.download: {data} did not get into {folder} ({reason})",
            do="remove what is there of it and try again, or get it by hand and set data.root",
        ) from error
