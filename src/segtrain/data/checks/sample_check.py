"""What one sample of a data set gives when it is checked: everything that is wrong with it."""

from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from segtrain.contracts import IGNORE_INDEX, HasPairs, Sample, Split
from segtrain.data.checks.alike import look
from segtrain.data.checks.scan import label_counts
from segtrain.data.io.opening import FORMATS, check_regular, open_image
from segtrain.errors import SegtrainError
from segtrain.input_spec import DTYPES, MOST_CHANNELS

KINDS = {
    "made": "what keeps the data set from being made",
    "pairs": "lists and folders that do not pair up",
    "category": "annotations of unknown categories",
    "missing": "annotations without their image",
    "ids": "ids that are used more than once",
    "form": "annotations that cannot be read",
    "outside": "annotations outside their image",
    "empty": "annotations without an area",
    "unreadable": "files that cannot be read",
    "mask": "masks that do not hold one class index a pixel",
    "labels": "labels outside the classes",
    "size": "sizes that do not fit",
    "turned": "images that the camera turned",
    "kind": "images that are not read as they look",
    "listed": "images that are listed more than once",
    "overlap": "images that are in two splits",
    "group": "groups of data.group that are in two splits",
    "unseen": "classes without a pixel in train",
}
INKS = ("CMYK", "LAB", "HSV")  # modes that Pillow turns into RGB without their profile


class Fault(NamedTuple):
    """kind: one of KINDS. where: the file, or the split. what: what is wrong with it."""

    kind: str
    where: str
    what: str


class SampleReport(NamedTuple):
    """What the check of one sample gave.

    where: its image's file or its name. digest: of the image's pixels. counts: int64 256, the
    pixels of each label. look: the image's perceptual hash. All are None where they could not be read.
    """

    where: str
    faults: list[Fault]
    digest: bytes | None
    counts: np.ndarray | None
    look: np.ndarray | None = None


class Header(NamedTuple):
    """An image's mode as stored, its EXIF orientation (1 is upright), and its pages."""

    mode: str
    orientation: int
    pages: int


class SampleCheck:
    """Checks one sample of a split, by its index.

    Args:
        split: of a data set.
        name: of the split, for the messages.
        classes: how many the data set has.
    """

    def __init__(self, split: Split, name: str, classes: int):
        self.split, self.name, self.classes = split, name, classes
        self.files = split if isinstance(split, HasPairs) else None
        self.images = (
            Counter(pair.image for pair in self.files.pairs) if self.files is not None else Counter()
        )

    def __call__(self, index: int) -> SampleReport:
        try:
            return self._pair(self.files, index) if self.files is not None else self._sample(index)
        except Exception as error:  # nothing may end in a traceback, a user's own data set least of all
            where = str(self.files.pairs[index].image) if self.files is not None else f"{self.name}[{index}]"
            return SampleReport(where, [_read_fault(error, where)], None, None)

    def _pair(self, files: HasPairs, index: int) -> SampleReport:
        """An image and a mask in files, each checked whatever is wrong with the other."""
        _, image_path, mask_path = files.pairs[index]
        where, faults = str(image_path), []
        image = mask = None
        if image_path.is_file():  # what is missing was refused when the split was made
            try:
                image = files.image(index)
            except Exception as error:
                faults.append(_read_fault(error, where))
        if mask_path.is_file():
            try:
                mask, _ = files.labels(index)
            except Exception as error:
                faults.append(self._mask_fault(error, files, index))
        header = _header(image_path)
        if image is not None and mask is not None:
            faults += _fit(image, mask, image_path, mask_path, header.orientation)
        if header.mode in INKS:
            faults.append(Fault("kind", where, f"its colours are {header.mode}: store it as RGB"))
        stacked = image is not None and image.shape[2] == header.pages  # a page a channel
        if header.pages > 1 and not stacked and self.images[image_path] == 1:
            faults.append(Fault("kind", where, f"{header.pages} pages, of which the first is read"))
        return SampleReport(where, faults, _digest(image), _counts(mask), _look(image))

    def _sample(self, index: int) -> SampleReport:
        """A sample of a data set that is not a list of files."""
        image, mask, where, _ = sample = self.split[index]
        faults = sample_faults(sample, self.classes)
        readable = all(fault.kind != "mask" for fault in faults)
        counts = _counts(mask) if readable else None
        return SampleReport(where, faults, _digest(image), counts, _look(image))

    def _mask_fault(self, error: Exception, files: HasPairs, index: int) -> Fault:
        """What is wrong with a mask whose labels could not be read."""
        path = files.pairs[index].mask
        try:
            stored = files.stored(index)
        except Exception:
            if _is_image(path):
                return Fault("mask", str(path), one_line(error, path))
            return _read_fault(error, str(path))
        values, counts = np.unique(stored, return_counts=True)
        label_map = files.label_map
        labels = {v: label_map.get(v, v) for v in values.tolist()}
        named = [
            f"{label} ({count} pixels)"
            for label, count in zip(labels.values(), counts.tolist(), strict=True)
            if label != IGNORE_INDEX and not 0 <= label < self.classes
        ]
        if not named:
            return _read_fault(error, str(path))
        return Fault("labels", str(path), _outside_words(named, self.classes))


def sample_faults(sample: Sample, classes: int) -> list[Fault]:
    """What keeps a sample from being what a data set is to yield."""
    image, mask, where, _ = sample
    faults = []
    if str(image.dtype) not in DTYPES or image.ndim != 3 or not 1 <= image.shape[2] <= MOST_CHANNELS:
        what = (
            f"the image is {image.dtype} {image.shape}, not H×W×C of {', '.join(DTYPES)} with 1 to"
            f" {MOST_CHANNELS} channels"
        )
        faults.append(Fault("unreadable", where, what))
    several = mask.ndim == 3 and mask.shape[2] == classes
    if mask.dtype != np.uint8 or not (mask.ndim == 2 or several):
        what = f"the mask is {mask.dtype} {mask.shape}, not uint8 H×W"
        return [*faults, Fault("mask", where, what)]
    if image.shape[:2] != mask.shape[:2]:
        faults.append(Fault("size", where, f"the mask is {_size(mask)}, its image {_size(image)}"))
    counts = np.bincount(mask.ravel(), minlength=256)
    classes = 2 if several else classes  # no and yes
    named = [
        f"{label} ({counts[label]} pixels)"
        for label in counts.nonzero()[0]
        if classes <= label != IGNORE_INDEX
    ]
    return [*faults, Fault("labels", where, _outside_words(named, classes))] if named else faults


def _outside_words(named: list[str], classes: int) -> str:
    more = f" and {len(named) - 8} more" if len(named) > 8 else ""
    return f"label {', '.join(named[:8])}{more}: the classes are 0..{classes - 1}, ignored {IGNORE_INDEX}"


def _fit(
    image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path, orientation: int
) -> list[Fault]:
    """Faults of an image and a mask that were read but do not belong to one another."""
    turned = f"EXIF orientation {orientation} turns the image"
    if image.shape[:2] != mask.shape[:2]:
        what = f"the mask is {_size(mask)}, its image {image_path} is {_size(image)}"
        if orientation > 4 and image.shape[1::-1] == mask.shape[:2]:
            what += f": {turned}, and the mask is as if it did not"
        return [Fault("size", str(mask_path), what)]
    if mask.size == 1:
        return [Fault("size", str(image_path), "1×1 pixels, as what stands in for a lost image")]
    # Different sides show that the mask was drawn on the turned image; equal ones leave it open.
    if orientation > 1 and (orientation <= 4 or mask.shape[0] == mask.shape[1]):
        return [Fault("turned", str(image_path), f"{turned}; its mask may not be turned with it")]
    return []


def _read_fault(error: Exception, where: str) -> Fault:
    path = Path(where)
    empty = path.is_file() and not path.stat().st_size
    return Fault("unreadable", where, "the file is empty" if empty else one_line(error, path))


def one_line(error: Exception, path: Path | None = None) -> str:
    """An error in a line, without the path it begins with."""
    text = " ".join(str(error).split())
    if not isinstance(error, SegtrainError):
        text = f"{type(error).__name__}: {text}"
    return text.removeprefix(f"{path}: ")


def _is_image(path: Path) -> bool:
    try:
        open_image(path)
    except Exception:
        return False
    return True


def _header(path: Path) -> Header:
    try:
        check_regular(path)
        with Image.open(path, formats=FORMATS) as image:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            pages = getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF", "PNG") else 1
            return Header(image.mode, orientation if orientation in range(1, 9) else 1, pages)
    except Exception:  # not an image but what the data set reads itself, or EXIF data in disorder
        return Header("RGB", 1, 1)


def _digest(image: np.ndarray | None) -> bytes | None:
    if image is None:
        return None
    digest = blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _look(image: np.ndarray | None) -> np.ndarray | None:
    return None if image is None else look(image)


def _counts(mask: np.ndarray | None) -> np.ndarray | None:
    return None if mask is None else label_counts(mask)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
