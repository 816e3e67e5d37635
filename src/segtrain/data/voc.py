"""PASCAL VOC 2012, segmentation.

"The PASCAL Visual Object Classes Challenge: A Retrospective", Everingham et al., IJCV 2015.
Devkit layout: JPEGImages/ID.jpg, SegmentationClass/ID.png (palette, 255 = void),
SegmentationObject/ID.png (the same by object), ImageSets/Segmentation/SPLIT.txt with 1464
(train), 1449 (val) and 2913 (trainval) pictures.
"""

import tarfile
from pathlib import Path

import numpy as np

from segtrain.data.files import Pair, PairedFiles, SplitsByList, find_root, read_list, read_mask, stamp
from segtrain.data.sample import check_num_classes

CLASS_NAMES = tuple(
    """background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse
    motorbike person pottedplant sheep sofa train tvmonitor""".split()
)


def voc_palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    """The devkit's colours: bits 0, 1, 2 of the label, then 3, 4, 5, from the highest bit down."""
    colours = []
    for label in range(classes):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (label >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append(tuple(colour))
    return tuple(colours)


class VOC(SplitsByList):
    """VOC 2012's splits.

    Args:
        root: the folder with JPEGImages, or a parent with VOC2012 or VOCdevkit/VOC2012 below.
        train_split, val_split: names in ImageSets/Segmentation.
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
        download: bool = False,
        num_classes: int = 21,
    ):
        check_num_classes("voc", num_classes, self.class_names)
        if download:
            _download(root)
        how_to_get = "set data.root, or get it with data.download=true (2 GB)"
        self.root = find_root("VOC 2012", root, ("VOC2012", "VOCdevkit/VOC2012"), "JPEGImages", how_to_get)
        self.train_split, self.val_split = train_split, val_split

    def split(self, name: str) -> PairedFiles:
        """The pictures that ImageSets/Segmentation/`name`.txt lists."""
        ids = read_list(self.root / "ImageSets" / "Segmentation" / f"{name}.txt")
        pairs = [
            Pair(i, self.root / "JPEGImages" / f"{i}.jpg", self.root / "SegmentationClass" / f"{i}.png")
            for i in ids
        ]
        return VOCSplit(pairs, self.root / "SegmentationObject")


class VOCSplit(PairedFiles):
    """Pictures and masks, and the objects' numbers where `objects`, a folder, has them."""

    def __init__(self, pairs: list[Pair], objects: Path):
        super().__init__(pairs, num_classes=21)
        self.objects = objects

    def instances(self, index: int) -> np.ndarray | None:
        """The number of the object in each pixel (H×W, 0 and 255 are none), or None. Raises InputError."""
        path = self._instances(self.pairs[index])
        return read_mask(path) if path.is_file() else None

    def identity(self) -> list:
        paths = [self._instances(pair) for pair in self.pairs]
        return [*super().identity(), [stamp(path) for path in paths if path.is_file()]]

    def _instances(self, pair: Pair) -> Path:
        return self.objects / f"{pair.name}.png"


def _download(root: str) -> None:
    from torchvision.datasets import VOCSegmentation

    # Before Python 3.12 an archive may write outside the folder unless this filter is set.
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    if not any(
        (Path(root) / folder / "JPEGImages").is_dir() for folder in ("", "VOC2012", "VOCdevkit/VOC2012")
    ):
        Path(root).mkdir(parents=True, exist_ok=True)
        VOCSegmentation(root, year="2012", download=True)
