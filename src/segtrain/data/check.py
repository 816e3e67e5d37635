"""Everything that is wrong with a data set, found by reading all of it once."""

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from segtrain.data.refusal import collecting
from segtrain.data.sample import VOID
from segtrain.data.scan import look_at_all
from segtrain.errors import InputError, SegtrainError

KINDS = {
    "made": "what keeps the data set from being made",
    "pairs": "lists and folders that do not pair up",
    "unreadable": "files that cannot be read",
    "mask": "masks that do not hold one class index a pixel",
    "labels": "labels outside the classes",
    "size": "sizes that do not fit",
    "turned": "pictures that the camera turned",
    "kind": "pictures that are not read as they look",
    "listed": "pictures that are listed more than once",
    "overlap": "pictures that are in train and in val",
    "unseen": "classes without a pixel in train",
}
SPLITS = ("train", "val")
INKS = ("CMYK", "LAB", "HSV")  # modes that Pillow turns into RGB without their profile


class Fault(NamedTuple):
    """kind: one of KINDS. where: the file, or the split. what: what is wrong with it."""

    kind: str
    where: str
    what: str


class Looked(NamedTuple):
    """What one sample gave.

    where: its picture's file or its name. digest: of the picture's pixels. counts: int64 256, the
    pixels of each label. Both are None where they could not be read.
    """

    where: str
    faults: list[Fault]
    digest: bytes | None
    counts: np.ndarray | None


class Header(NamedTuple):
    """A picture's mode as stored, its EXIF orientation (1 is upright), and its pages."""

    mode: str
    orientation: int
    pages: int


class Report(NamedTuple):
    """data, splits: as far as they could be made. faults: all. pixels: int64 256 a split, of each label."""

    data: Any
    splits: dict[str, Any]
    faults: list[Fault]
    pixels: dict[str, np.ndarray]


def make_splits(make: Callable[[], Any]) -> tuple[Any, dict[str, Any], list[Fault]]:
    """The data set, its splits that can be made, and what was wrong with its lists and folders."""
    data, splits, faults = None, {}, []
    with collecting() as refused:
        try:
            data = make()
        except Exception as error:  # a data set of the user's own may raise anything
            faults.append(Fault("made", "data", _words(error)))
        for name in SPLITS if data is not None else ():
            try:
                splits[name] = getattr(data, name)
                if not len(splits[name]):
                    raise InputError("the split is empty")
            except Exception as error:
                splits.pop(name, None)
                faults.append(Fault("made", name, _words(error)))
    return data, splits, [Fault("pairs", "data", _words(error)) for error in refused] + faults


def check_data(make: Callable[[], Any], progress: Callable[[str, int], Any]) -> Report:
    """Reads every picture and every mask of a data set.

    Args:
        make: builds what `data=` names, with `class_names`, `palette`, `train` and `val`.
        progress: gives a context manager over a function that is told of each sample read.
    """
    data, splits, faults = make_splits(make)
    pixels, looked = {}, {}
    for name, split in splits.items():
        with progress(f"reading {name}", len(split)) as advance:
            looked[name] = look_at_all(len(split), Look(split, name, len(data.class_names)), advance)
        faults += chain.from_iterable(one.faults for one in looked[name])
        faults += _as_a_whole(split, looked[name][0])
        faults += _listed_again(split, name)
        counts = [one.counts for one in looked[name] if one.counts is not None]
        pixels[name] = np.sum(counts, axis=0) if counts else np.zeros(256, np.int64)
    if len(looked) == 2:
        faults += _overlap(*looked.values())
    if "train" in pixels:
        faults += _unseen(data.class_names, pixels["train"])
    return Report(data, splits, faults, pixels)


class Look:
    """Looks at one sample of a split, by its index."""

    def __init__(self, split, name: str, classes: int):
        self.split, self.name, self.classes = split, name, classes
        self.images = Counter(pair.image for pair in getattr(split, "pairs", ()))

    def __call__(self, index: int) -> Looked:
        of_files = hasattr(self.split, "pairs")
        try:
            return self._pair(index) if of_files else self._sample(index)
        except Exception as error:  # nothing may end in a traceback, a user's own data set least of all
            where = str(self.split.pairs[index].image) if of_files else f"{self.name}[{index}]"
            return Looked(where, [_read_fault(error, where)], None, None)

    def _pair(self, index: int) -> Looked:
        """A picture and a mask in files, each looked at whatever is wrong with the other."""
        _, image_path, mask_path = self.split.pairs[index]
        where, faults = str(image_path), []
        image = mask = None
        if image_path.is_file():  # what is missing was refused when the split was made
            try:
                image = self.split.image(index)
            except Exception as error:
                faults.append(_read_fault(error, where))
        if mask_path.is_file():
            try:
                mask, _ = self.split.labels(index)
            except Exception as error:
                faults.append(self._mask_fault(error, index))
        header = _header(image_path)
        if image is not None and mask is not None:
            faults += _fit(image, mask, image_path, mask_path, header.orientation)
        if header.mode in INKS:
            faults.append(Fault("kind", where, f"its colours are {header.mode}: store it as RGB"))
        if header.pages > 1 and self.images[image_path] == 1:
            faults.append(Fault("kind", where, f"{header.pages} pages, of which the first is read"))
        return Looked(where, faults, _digest(image), _counts(mask))

    def _sample(self, index: int) -> Looked:
        """A sample of a data set that is not a list of files."""
        image, mask, where = self.split[index]
        faults = []
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            faults.append(Fault("unreadable", where, f"the picture is {image.dtype} {image.shape}"))
        if mask.dtype != np.uint8 or mask.ndim != 2:
            faults.append(Fault("mask", where, f"the mask is {mask.dtype} {mask.shape}, not uint8 H×W"))
            return Looked(where, faults, _digest(image), None)
        faults += _outside(mask, self.classes, where)
        if image.shape[:2] != mask.shape:
            faults.append(Fault("size", where, f"the mask is {_size(mask)}, its picture {_size(image)}"))
        return Looked(where, faults, _digest(image), _counts(mask))

    def _mask_fault(self, error: Exception, index: int) -> Fault:
        """What is wrong with a mask whose labels could not be read."""
        path = self.split.pairs[index].mask
        try:
            stored = self.split.stored(index)
        except Exception:
            is_picture = _is_picture(path)
            return Fault("mask" if is_picture else "unreadable", str(path), _words(error, path))
        values, counts = np.unique(stored, return_counts=True)
        label_map = self.split.label_map
        labels = {v: label_map.get(v, v) for v in values.tolist()}
        named = [
            f"{label} ({count} pixels)"
            for label, count in zip(labels.values(), counts.tolist(), strict=True)
            if label != VOID and not 0 <= label < self.classes
        ]
        if not named:
            return _read_fault(error, str(path))
        return Fault("labels", str(path), _outside_words(named, self.classes))


def _outside(mask: np.ndarray, classes: int, where: str) -> list[Fault]:
    counts = np.bincount(mask.ravel(), minlength=256)
    named = [f"{label} ({counts[label]} pixels)" for label in counts.nonzero()[0] if classes <= label != VOID]
    return [Fault("labels", where, _outside_words(named, classes))] if named else []


def _outside_words(named: list[str], classes: int) -> str:
    more = f" and {len(named) - 8} more" if len(named) > 8 else ""
    return f"label {', '.join(named[:8])}{more}: the classes are 0..{classes - 1}, void is {VOID}"


def _fit(
    image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path, orientation: int
) -> list[Fault]:
    """Faults of a picture and a mask that were read but do not belong to one another."""
    turned = f"EXIF orientation {orientation} turns the picture"
    if image.shape[:2] != mask.shape:
        what = f"the mask is {_size(mask)}, its picture {image_path} is {_size(image)}"
        if orientation > 4 and image.shape[1::-1] == mask.shape:
            what += f": {turned}, and the mask is as if it did not"
        return [Fault("size", str(mask_path), what)]
    if mask.size == 1:
        return [Fault("size", str(image_path), "1×1 pixels, as what stands in for a lost picture")]
    # Different sides show that the mask was drawn on the turned picture; equal ones leave it open.
    if orientation > 1 and (orientation <= 4 or mask.shape[0] == mask.shape[1]):
        return [Fault("turned", str(image_path), f"{turned}; if the mask was drawn on it as stored, it lies")]
    return []


def _listed_again(split, name: str) -> list[Fault]:
    times = Counter(getattr(split, "pairs", ()))
    return [Fault("listed", str(pair.image), f"{n} times in {name}") for pair, n in times.items() if n > 1]


def _overlap(train: list[Looked], val: list[Looked]) -> list[Fault]:
    seen = {one.digest: one.where for one in train if one.digest}
    return [
        Fault("overlap", one.where, f"the same picture as {seen[one.digest]} in train")
        for one in val
        if one.digest in seen
    ]


def _unseen(class_names, pixels: np.ndarray) -> list[Fault]:
    """Classes that no pixel of train shows, unless no mask of it could be read."""
    unseen = [name for label, name in enumerate(class_names) if pixels.any() and not pixels[label]]
    return [Fault("unseen", "train", f"no pixel is {', '.join(unseen)}")] if unseen else []


def _as_a_whole(split, first: Looked) -> list[Fault]:
    """What the first sample is refused for although its picture and its mask can be read."""
    try:
        if first.digest and first.counts is not None and not first.faults:
            _ = split[0]
    except Exception as error:
        return [Fault("mask", first.where, _words(error))]
    return []


def _read_fault(error: Exception, where: str) -> Fault:
    path = Path(where)
    empty = path.is_file() and not path.stat().st_size
    return Fault("unreadable", where, "the file is empty" if empty else _words(error, path))


def _words(error: Exception, path: Path | None = None) -> str:
    """An error in a line, without the path it begins with."""
    text = " ".join(str(error).split())
    if not isinstance(error, SegtrainError):
        text = f"{type(error).__name__}: {text}"
    return text.removeprefix(f"{path}: ")


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except Exception:
        return False
    return True


def _header(path: Path) -> Header:
    try:
        with Image.open(path) as picture:
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
            pages = getattr(picture, "n_frames", 1) if picture.format in ("TIFF", "GIF", "PNG") else 1
            return Header(picture.mode, orientation if orientation in range(1, 9) else 1, pages)
    except Exception:  # not a picture but what the data set reads itself, or EXIF data in disorder
        return Header("RGB", 1, 1)


def _digest(image: np.ndarray | None) -> bytes | None:
    if image is None:
        return None
    digest = blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image))
    return digest.digest()


def _counts(mask: np.ndarray | None) -> np.ndarray | None:
    return None if mask is None else np.bincount(mask.ravel(), minlength=256)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
