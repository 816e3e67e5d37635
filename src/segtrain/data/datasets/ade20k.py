"""ADE20K's scene parsing benchmark: 150 classes indoors and outdoors.

"Scene Parsing through ADE20K Dataset", Zhou et al., CVPR 2017; 20,210 (training) and 2000
(validation) images. Layout of ADEChallengeData2016: images/SPLIT/NAME.jpg and
annotations/SPLIT/NAME.png with 1..150, and 0 for all that is no class, which does not count;
objectInfo150.txt names the classes.
"""

from pathlib import Path

from segtrain.contracts import IGNORE_INDEX, Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.datasets.submission import Submission
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import Images, PairedFiles, SplitsByList, find_root, read_list
from segtrain.data.io.listing import visible
from segtrain.errors import InputError, MissingData

CLASSES = 150
TEST = "testing"  # the split whose labels the server keeps


class ADE20K(SplitsByList):
    """ADE20K's splits, folders of images. The colours are VOC's rule, not the benchmark's own.

    Args:
        root: the folder with objectInfo150.txt, or a parent with ADEChallengeData2016 below.
        train_split, val_split, test_split: folders of images; `testing` (release_test.zip) has no labels.
        num_classes: must be 150.
    """

    palette = voc_palette(CLASSES)
    submission = Submission("{name}.png", tuple(range(1, CLASSES + 1)))

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "training",
        val_split: str = "validation",
        test_split: str | None = TEST,
        num_classes: int = CLASSES,
    ):
        how_to_get = "unpack ADEChallengeData2016.zip of sceneparsing.csail.mit.edu (1 GB) there"
        inside = ("ADEChallengeData2016", "ade/ADEChallengeData2016")
        self.root = find_root("ADE20K", root, inside, "objectInfo150.txt", how_to_get)
        self.class_names = _class_names(self.root / "objectInfo150.txt")
        check_num_classes("ade20k", num_classes, self.class_names)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    def place(self, name: str) -> Path:
        return self.root / "images" / name

    def split(self, name: str) -> PairedFiles | Images:
        """The images of a folder of images; stored label i is class i - 1."""
        folder = self.root / "images" / name
        masks = self.root / "annotations" / name
        pairs = [Pair(path.stem, path, masks / f"{path.stem}.png") for path in visible(folder, "*.jpg")]
        if not pairs:
            raise MissingData(f"{folder}: no NAME.jpg in it", do="check data.root and the split")
        if name == TEST:
            return Images([(pair.name, pair.image) for pair in pairs])
        label_map = {0: IGNORE_INDEX} | {i + 1: i for i in range(CLASSES)}
        return PairedFiles(pairs, num_classes=CLASSES, label_map=label_map)


def _class_names(path: Path) -> tuple[str, ...]:
    """The first of each class's synonyms, in the last column."""
    rows = [line.split("\t") for line in read_list(path)[1:]]
    names = tuple(row[-1].replace(";", ",").split(",")[0].strip() for row in rows)
    if [row[0].strip() for row in rows] != [str(i + 1) for i in range(CLASSES)] or len(set(names)) != CLASSES:
        raise InputError(f"{path}: its lines are not the classes 1 to {CLASSES}", do="get the file anew")
    return names
