"""PASCAL-Context: every pixel of VOC 2010's images, annotated with 459 things and stuffs.

"The Role of Context for Object Detection and Semantic Segmentation in the Wild", Mottaghi et al.,
CVPR 2014; 4998 (train) and 5105 (val) images, of which the papers score the 59 commonest classes,
or 33. Layout: trainval/ID.mat, labels.txt (the 459), 59_labels.txt and 33_labels.txt, and VOC
2010's JPEGImages and ImageSets/Main. As in FCN's pascalcontext_layers.py classes are found by name,
three of which differ between the lists, and all that is no class is background.
"""

import re
from functools import partial
from pathlib import Path

from segtrain.contracts import IGNORE_INDEX, Pair
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import PairedFiles, SplitsByList, find_root, read_list
from segtrain.data.io.mat import read_mat
from segtrain.errors import InputError

IN_ALL_LABELS = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
SUBSETS = {60: (59, True), 59: (59, False), 34: (33, True), 33: (33, False)}


class PascalContext(SplitsByList):
    """PASCAL-Context's splits; the colours are VOC's rule.

    Args:
        root: the folder with VOC 2010 as VOC2010 or VOCdevkit/VOC2010, and with labels.txt and
            trainval, or those in pascal-context or in VOC2010.
        train_split, val_split, test_split: names in ImageSets/Main.
        num_classes: 60 is the 59 classes and background, in 59 background is ignored; 34 and 33 alike.
    """

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str | None = None,
        num_classes: int = 60,
    ):
        if num_classes not in SUBSETS:
            raise InputError(f"data.num_classes={num_classes}", do="pascal_context has 60, 59, 34 or 33")
        classes, background = SUBSETS[num_classes]
        voc = ("VOC2010", "VOCdevkit/VOC2010")
        how_to_get = "unpack VOC 2010's VOCtrainval_03-May-2010.tar there"
        self.voc = find_root("VOC 2010", root, voc, "JPEGImages", how_to_get)
        how_to_get = (
            "unpack trainval.tar.gz of www.cs.stanford.edu/~roozbeh/pascal-context there, with"
            f" labels.txt and {classes}_labels.txt"
        )
        self.root = find_root("PASCAL-Context", root, ("pascal-context", *voc), "labels.txt", how_to_get)
        self.label_map = dict.fromkeys(range(460), 0 if background else IGNORE_INDEX)
        subset = tuple(_read_numbers(self.root / f"{classes}_labels.txt", classes))
        numbers = _read_numbers(self.root / "labels.txt", 459)
        for label, name in enumerate(subset, start=int(background)):
            stored = numbers.get(IN_ALL_LABELS.get(name, name))
            if stored is None:
                raise InputError(f"{self.root}/labels.txt: no class {name}", do="get the file anew")
            self.label_map[stored] = label
        self.class_names = ("background", *subset) if background else subset
        self.palette = voc_palette(num_classes)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    def place(self, name: str) -> Path:
        return self.voc / "ImageSets" / "Main" / f"{name}.txt"

    def split(self, name: str) -> PairedFiles:
        """The images that ImageSets/Main/`name`.txt lists."""
        images, masks = self.voc / "JPEGImages", self.root / "trainval"
        ids = read_list(self.voc / "ImageSets" / "Main" / f"{name}.txt")
        return PairedFiles(
            [Pair(i, images / f"{i}.jpg", masks / f"{i}.mat") for i in ids],
            num_classes=len(self.class_names),
            label_map=self.label_map,
            read=partial(read_mat, names=("LabelMap",)),
        )


def _read_numbers(path: Path, count: int) -> dict[str, int]:
    """Name (without blanks) -> number, from lines such as `7: car`."""
    lines = [re.fullmatch(r"(\d+)\s*:\s*(.+)", line) for line in read_list(path)]
    numbers = {line[2].replace(" ", ""): int(line[1]) for line in lines if line}
    if len(numbers) != count:
        raise InputError(f"{path}: {len(numbers)} classes instead of {count}", do="get the file anew")
    return numbers
