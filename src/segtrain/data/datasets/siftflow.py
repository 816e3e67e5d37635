"""SIFT Flow: outdoor scenes of 256×256 pixels with two labellings, semantic and geometric.

"Nonparametric Scene Parsing: Label Transfer via Dense Scene Alignment", Liu, Yuen and Torralba,
CVPR 2009; the geometric labels are those of "SuperParsing", Tighe and Lazebnik, ECCV 2010. 2688
images, split 2486 and 200 by the lists of FCN, which leave out the two without labels.
Layout: Images, SemanticLabels (1..33, 0 = ignored) and GeoLabels (1..3, -1 = ignored), each with
spatial_envelope_256x256_static_8outdoorcategories/NAME.jpg or .mat, and SPLIT.txt with the names.
Cow, desert and moon are nowhere in test: the papers average over the 30 other classes.
"""

from functools import partial
from pathlib import Path

from segtrain.contracts import IGNORE_INDEX, Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import PairedFiles, SplitsByList, find_root, read_list
from segtrain.data.io.mat import read_mat

SEMANTIC = tuple(
    """awning balcony bird boat bridge building bus car cow crosswalk desert door fence field grass
    moon mountain person plant pole river road rock sand sea sidewalk sign sky staircase streetlight
    sun tree window""".split()
)
GEOMETRIC = ("sky", "horizontal", "vertical")
SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


class SIFTFlow(SplitsByList):
    """SIFT Flow's splits in one of its two labellings; the colours are VOC's rule.

    Args:
        root: the folder with Images and SemanticLabels, or a parent with SiftFlowDataset below.
        train_split, val_split, test_split: names of list files.
        num_classes: 33 takes the semantic labels, 3 the geometric ones.
    """

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "trainval",
        val_split: str = "test",
        test_split: str | None = "test",
        num_classes: int = 33,
    ):
        self.class_names = GEOMETRIC if num_classes == len(GEOMETRIC) else SEMANTIC
        check_num_classes("siftflow", num_classes, self.class_names)
        self.palette = voc_palette(num_classes)
        how_to_get = (
            "unpack www.cs.unc.edu/~jtighe/Papers/ECCV10/siftflow/SiftFlowDataset.zip there, with"
            " trainval.txt and test.txt of shelhamer/fcn.berkeleyvision.org, data/sift-flow"
        )
        inside = ("SiftFlowDataset", "sift-flow", "siftflow")
        self.root = find_root("SIFT Flow", root, inside, "SemanticLabels", how_to_get)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    def place(self, name: str) -> Path:
        return self.root / f"{name}.txt"

    def split(self, name: str) -> PairedFiles:
        """The images that `name`.txt lists; stored label i is class i - 1."""
        images = self.root / "Images" / SCENES
        masks = self.root / ("GeoLabels" if self.class_names is GEOMETRIC else "SemanticLabels") / SCENES
        classes = len(self.class_names)
        return PairedFiles(
            [Pair(i, images / f"{i}.jpg", masks / f"{i}.mat") for i in read_list(self.root / f"{name}.txt")],
            num_classes=classes,
            label_map={-1: IGNORE_INDEX, 0: IGNORE_INDEX} | {i + 1: i for i in range(classes)},
            read=partial(read_mat, names=("S",)),
        )
