"""Cityscapes, fine annotations: streets of 50 cities in 2048×1024 pixels.

"The Cityscapes Dataset for Semantic Urban Scene Understanding", Cordts et al., CVPR 2016; 2975
(train), 500 (val) and 1525 (test, without labels) images. Layout: leftImg8bit/SPLIT/CITY/
NAME_leftImg8bit.png and gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png. Of the 34 label ids 19 are
trained and scored, the others are ignored. The official server wants ids again, not train ids, and
knows an image by the CITY_SEQUENCE_FRAME that its name begins with.
"""

from pathlib import Path

from segtrain.contracts import IGNORE_INDEX, Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.datasets.submission import Submission
from segtrain.data.io.files import Images, PairedFiles, SplitsByList, find_root
from segtrain.data.io.listing import visible
from segtrain.errors import MissingData

CLASSES = {  # name: id, colour; in the order of the train ids
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
TRAIN_IDS = dict.fromkeys(range(-1, 34), IGNORE_INDEX)  # -1 is the license plate
TRAIN_IDS |= {id_: i for i, (id_, _) in enumerate(CLASSES.values())}
TEST = "test"  # the split whose labels the server keeps; those that are shipped are ignored
IMAGE, MASK = "_leftImg8bit", "_gtFine_labelIds"


class Cityscapes(SplitsByList):
    """Cityscapes' splits, folders of cities.

    Args:
        root: the folder with leftImg8bit and gtFine, or a parent with cityscapes below.
        train_split, val_split, test_split: folders of leftImg8bit; `test` has no labels.
        num_classes: must be 19.
    """

    class_names = tuple(CLASSES)
    palette = tuple(colour for _, colour in CLASSES.values())
    submission = Submission("{name}.png", tuple(id_ for id_, _ in CLASSES.values()))

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str | None = "test",
        num_classes: int = 19,
    ):
        check_num_classes("cityscapes", num_classes, self.class_names)
        how_to_get = (
            "unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of"
            " www.cityscapes-dataset.com (free, after registration) there"
        )
        self.root = find_root("Cityscapes", root, ("cityscapes", "Cityscapes"), "leftImg8bit", how_to_get)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    def place(self, name: str) -> Path:
        return self.root / "leftImg8bit" / name

    def split(self, name: str) -> PairedFiles | Images:
        """The images of all cities of a split."""
        folder = self.root / "leftImg8bit" / name
        pairs = []
        for image in visible(folder, f"*/*{IMAGE}.png"):
            stem = image.stem.removesuffix(IMAGE)
            pairs.append(
                Pair(stem, image, self.root / "gtFine" / name / image.parent.name / f"{stem}{MASK}.png")
            )
        if not pairs:
            raise MissingData(f"{folder}: no CITY/NAME{IMAGE}.png in it", do="check data.root and the split")
        if name == TEST:
            return Images([(pair.name, pair.image) for pair in pairs])
        return PairedFiles(pairs, num_classes=len(CLASSES), label_map=TRAIN_IDS)
