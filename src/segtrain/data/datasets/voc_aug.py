"""PASCAL VOC 2012 with the further labels of SBD: the 10,582 images of "train_aug".

"Semantic Contours from Inverse Detectors", Hariharan et al., ICCV 2011: 11,355 annotated images of
VOC 2011, in lists of their own (8498 train, 2857 val) that overlap VOC's val. An image that VOC
annotated keeps VOC's mask with its ignored outlines; SBD's masks have none. Layout of SBD:
cls/ID.mat (classes), inst/ID.mat (objects), train.txt, val.txt; the images are VOC's.
"""

from pathlib import Path

from segtrain.contracts import Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.datasets.submission import Submission
from segtrain.data.datasets.voc import TEST, VOC, VOCSplit, downloading, voc_submission
from segtrain.data.io.files import Images, PairedFiles, SplitsByList, find_root, read_list
from segtrain.errors import InputError
from segtrain.files import user_path

SBD_BELOW = ("sbd", "SBD", "benchmark_RELEASE/dataset")


class VOCAug(SplitsByList):
    """VOC 2012 and SBD, with splits that are computed from the lists of both:

    train_aug: VOC's train and all of SBD without VOC's val, 10,582 images.
    trainval_aug: the same with VOC's val, 12,031.
    sbd_train, sbd_val: SBD's own, with SBD's masks; FCN trains on sbd_train.
    seg11valid: VOC 2011's val without sbd_train, the 736 images that FCN validates on (footnote 7).
        It takes a list that VOC 2012 and SBD lack, of VOC 2011 beside VOC 2012 or seg11valid.txt.
    Any other name is a list of VOC 2012; `test` has no labels.

    Args:
        root: the folder with both (or links to them), VOC 2012 as in `VOC` and SBD in `sbd`.
        train_split, val_split, test_split: names of splits.
        download: gets both archives through torchvision, md5 checked, into `root`.
        num_classes: must be 21.
    """

    class_names, palette = VOC.class_names, VOC.palette

    def __init__(
        self,
        *,
        root: str,
        train_split: str = "train_aug",
        val_split: str = "val",
        test_split: str | None = TEST,
        download: bool = False,
        num_classes: int = 21,
    ):
        check_num_classes("voc_aug", num_classes, self.class_names)
        self.voc = VOC(root=root, download=download)
        if download:
            _download_sbd(user_path(root) / "sbd")
        how_to_get = "put or link it to data.root/sbd, or get it with data.download=true (1.4 GB)"
        self.sbd = find_root("SBD", root, SBD_BELOW, "cls", how_to_get)
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split

    @property
    def submission(self) -> Submission:
        return voc_submission(self)

    def place(self, name: str) -> Path:
        return self.voc.place(name) if name == TEST else self.sbd

    def split(self, name: str) -> PairedFiles | Images:
        """The images of a split, in the order of their names."""
        if name == TEST:
            return self.voc.split(name)
        if name in ("sbd_train", "sbd_val"):
            return VOCSplit([self._of_sbd(i) for i in sorted(self._sbd(name.removeprefix("sbd_")))])
        own = {*self.voc.ids("train"), *self.voc.ids("val")}
        ids = sorted(self._ids(name))
        return VOCSplit([self.voc.masks(i) if i in own else self._of_sbd(i) for i in ids])

    def _ids(self, name: str) -> set[str]:
        if name == "train_aug":
            return self._ids("trainval_aug") - set(self.voc.ids("val"))
        if name == "trainval_aug":
            return {*self.voc.ids("train"), *self.voc.ids("val")} | self._sbd("train") | self._sbd("val")
        if name == "seg11valid" and not (self.voc.lists / "seg11valid.txt").is_file():
            return self._seg11valid()
        return set(self.voc.ids(name))

    def _seg11valid(self) -> set[str]:
        path = self.voc.root.parent / "VOC2011" / "ImageSets" / "Segmentation" / "val.txt"
        if not path.is_file():
            raise InputError(
                f"seg11valid: neither {self.voc.lists / 'seg11valid.txt'} nor VOC 2011's {path} is there",
                do="get data/pascal/seg11valid.txt of shelhamer/fcn.berkeleyvision.org, or VOC 2011",
            )
        return set(read_list(path)) - self._sbd("train")

    def _sbd(self, name: str) -> set[str]:
        return set(read_list(self.sbd / f"{name}.txt"))

    def _of_sbd(self, name: str) -> tuple[Pair, Path]:
        image = self.voc.masks(name)[0].image
        return Pair(name, image, self.sbd / "cls" / f"{name}.mat"), self.sbd / "inst" / f"{name}.mat"


def _download_sbd(folder: Path) -> None:
    if any((folder.parent / below / "cls").is_dir() for below in ("", *SBD_BELOW)):
        return
    with downloading("SBD", folder):
        from torchvision.datasets import SBDataset

        SBDataset(str(folder), download=True)
