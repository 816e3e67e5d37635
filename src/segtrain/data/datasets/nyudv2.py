"""NYUDv2 with 40 classes: rooms, the colour images without their depth.

"Indoor Segmentation and Support Inference from RGBD Images", Silberman et al., ECCV 2012; the 40
classes are those of "Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images",
Gupta et al., CVPR 2013; 795 (trainval: 381 train, 414 val) and 654 (test) images. Layout of FCN's
nyud.tar.gz: data/images/img_ID.png, segmentation/img_ID.mat (1..40, 0 = ignored) and SPLIT.txt with
the ids. The original nyu_depth_v2_labeled.mat (MATLAB 7.3, 894 classes) is not read.
"""

from functools import partial
from pathlib import Path

from segtrain.contracts import IGNORE_INDEX, Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import PairedFiles, SplitsByList, find_root, read_list
from segtrain.data.io.mat import read_mat

CLASS_NAMES = tuple(
    name.strip()
    for name in """wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, image, counter,
    blinds, desk, shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling, books,
    refridgerator, television, paper, towel, shower curtain, box, whiteboard, person, night stand,
    toilet, sink, lamp, bathtub, bag, otherstructure, otherfurniture, otherprop""".split(",")
)


class NYUDv2(SplitsByList):
    """NYUDv2's splits; the colours are VOC's rule.

    Args:
        root: the folder with segmentation and data/images, or a parent with nyud below.
        train_split, val_split, test_split: names of list files.
        num_classes: must be 40.
    """

    class_names = CLASS_NAMES
    palette = voc_palette(40)

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "trainval",
        val_split: str = "test",
        test_split: str | None = "test",
        num_classes: int = 40,
    ):
        check_num_classes("nyudv2", num_classes, self.class_names)
        how_to_get = "unpack dl.caffe.berkeleyvision.org/nyud.tar.gz there"
        self.root = find_root("NYUDv2", root, ("nyud", "NYUDv2"), "segmentation", how_to_get)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    def place(self, name: str) -> Path:
        return self.root / f"{name}.txt"

    def split(self, name: str) -> PairedFiles:
        """The images that `name`.txt lists; stored label i is class i - 1."""
        images, masks = self.root / "data" / "images", self.root / "segmentation"
        ids = read_list(self.root / f"{name}.txt")
        return PairedFiles(
            [Pair(i, images / f"img_{i}.png", masks / f"img_{i}.mat") for i in ids],
            num_classes=40,
            label_map={0: IGNORE_INDEX} | {i + 1: i for i in range(40)},
            read=partial(read_mat, names=("segmentation",)),
        )
