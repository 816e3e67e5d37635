"""PASCAL VOC 2012, segmentation.

"The PASCAL Visual Object Classes Challenge: A Retrospective", Everingham et al., IJCV 2015.
Devkit layout: JPEGImages/ID.jpg, SegmentationClass/ID.png (palette, 255 = void),
ImageSets/Segmentation/SPLIT.txt with 1464 (train), 1449 (val) and 2913 (trainval) pictures.
"""

import tarfile
from pathlib import Path

from segtrain.data.files import Pair, PairedFiles, SplitsByList, find_root, read_list
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
        return PairedFiles(pairs, num_classes=21)


def _download(root: str) -> None:
    from torchvision.datasets import VOCSegmentation

    # Before Python 3.12 an archive may write outside the folder unless this filter is set.
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    if not any(
        (Path(root) / folder / "JPEGImages").is_dir() for folder in ("", "VOC2012", "VOCdevkit/VOC2012")
    ):
        Path(root).mkdir(parents=True, exist_ok=True)
        VOCSegmentation(root, year="2012", download=True)
