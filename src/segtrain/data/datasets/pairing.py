"""Which mask belongs to which image: by the names in two folders, or by a list."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from segtrain.contracts import Pair
from segtrain.data.checks.refusal import refuse
from segtrain.data.io.files import read_list
from segtrain.data.io.listing import SUFFIXES, image_files, is_image
from segtrain.errors import InputError, shorten


class Folders(NamedTuple):
    """A folder of images and one of masks, with the folders below them; site/NAME.jpg belongs to site/NAME
    + `mask_suffix` + .png, whatever their suffixes. The two may be one folder where `mask_suffix` separates
    them.

    Attributes:
        images, masks: the folders.
        mask_suffix: what the masks' names have on top.
        unlabelled: what an image without a mask is: a fault (None), left out (skip), or all background.
        bands: suffixes of the files that hold an image's channels; the first names the image.
    """

    images: Path
    masks: Path
    mask_suffix: str
    unlabelled: str | None = None
    bands: Sequence[str] = ()

    def pairs(self) -> list[Pair]:
        """Every image with its mask, in the order of their names; an image that is all background stands
        for its own mask.

        Raises:
            InputError: a folder is missing or empty, a name is doubled, or one has no counterpart.
        """
        images, masks = self._images(), self._masks()
        if not images.keys() & masks.keys():
            raise self._no_pair(images)
        refuse(
            self._alone(images, masks), do="name both alike up to data.mask_suffix, or give a list of pairs"
        )
        whole = self.unlabelled == "background"
        names = [name for name in sorted(images) if whole or name in masks]
        return [Pair(name, images[name], masks.get(name, images[name])) for name in names]

    def _alone(self, images: dict[str, Path], masks: dict[str, Path]) -> list[str]:
        """What has no counterpart, a sentence each."""
        no_mask = [] if self.unlabelled else [path for name, path in images.items() if name not in masks]
        return [
            *(f"{path} has no mask in {self.masks}" for path in no_mask),
            *(f"{path} has no image in {self.images}" for name, path in masks.items() if name not in images),
        ]

    def _no_pair(self, images: Collection[str]) -> InputError:
        """The error where no image has a mask: it proposes the suffix that all masks share."""
        suffix = shared_suffix(images, _by_name(self.masks, self.images))
        what = f"{self.masks}: no mask has the name of an image in {self.images}"
        if suffix:
            return InputError(f"{what}; every mask ends in {suffix}", do=f"set data.mask_suffix={suffix}")
        return InputError(what, do="name both alike up to data.mask_suffix, or give a list of pairs")

    def listed(self, path: Path, root: Path) -> list[Pair]:
        """The pairs of a list: a line is a name, or an image and its mask, separated by a comma, a
        tab or blanks, as paths below `root`.

        Names may have blanks and commas. A slash at a path's beginning means `root` where nothing
        else is there (DeepLab's lists), a backslash is a slash (Windows'); `#` begins a comment.

        Raises:
            InputError: a line is neither, names what is not there, or is doubled.
        """
        pairs: list[Pair] = []
        faults: list[str] = []
        named: tuple[dict[str, Path], dict[str, Path]] | None = None
        for line in read_list(path):
            found = _pair_of(line, root)
            if found is None:
                named = named or (self._images(), self._masks())
                written = _without_suffix(line), _without_suffix(line.replace("\\", "/"))
                name = next(
                    (w for w in written if w in named[0]), Path(written[1]).name
                )  # also images/NAME.jpg
                image, mask = (of.get(name) for of in named)
                if image is not None and mask is not None:
                    found = Pair(name, image, mask)
                elif line.startswith("#"):
                    continue
                else:
                    faults.append(self._fault(path, line, name, is_image=image is not None))
                    continue
            pairs.append(found)
        refuse(faults, do="mend the line")
        times = Counter(pair.image for pair in pairs)
        again = [f"{path}: {image} is in it {count} times" for image, count in times.items() if count > 1]
        refuse(again, do="leave one line of it")
        return pairs

    def _fault(self, path: Path, line: str, name: str, *, is_image: bool) -> str:
        """What is wrong with a line that is no pair and no name of one."""
        if len(line.split()) > 2 and not is_image:
            return f"{path}: {shorten(line)!r} does not name an image and a mask"
        kind, folder = ("mask", self.masks) if is_image else ("image", self.images)
        return f"{path}: {shorten(name)} has no {kind} in {folder}"

    def _images(self) -> dict[str, Path]:
        found = _by_name(self.images, self.masks)
        if self.bands:
            first = self.bands[0]
            found = {name.removesuffix(first): path for name, path in found.items() if name.endswith(first)}
        if self.images != self.masks:
            return found
        if not self.mask_suffix:
            suffix = shared_suffix(found, found)
            do = f"set data.mask_suffix={suffix}" if suffix else "set data.mask_suffix"
            raise InputError(f"{self.images}: images and masks in one folder", do=do)
        return {name: path for name, path in found.items() if not name.endswith(self.mask_suffix)}

    def _masks(self) -> dict[str, Path]:
        suffix, found = self.mask_suffix, _by_name(self.masks, self.images).items()
        return {name.removesuffix(suffix): path for name, path in found if name.endswith(suffix)}


def _without_suffix(line: str) -> str:
    return str(Path(line).with_suffix("")) if Path(line).suffix.lower() in SUFFIXES else line


def shared_suffix(images: Collection[str], masks: Collection[str]) -> str | None:
    """What the names of all masks have on top of images' names; None where they have nothing in common.

    Where both are one folder's names, half of them have to have it.

    Example:
        >>> shared_suffix(["a", "b"], ["a_mask", "b_mask"])
        "_mask"
    """
    ends = Counter(mask[end:] for mask in masks for end in range(1, len(mask)) if mask[:end] in images)
    suffix, count = ends.most_common(1)[0] if ends else ("", 0)
    enough = 2 * count == len(masks) if images is masks else count == len(masks)
    return suffix if enough else None


class Named(Protocol):
    """What has a name and an image: a pair, or an item of annotations."""

    @property
    def name(self) -> str: ...

    @property
    def image(self) -> Path: ...


Each = TypeVar("Each", bound=Named)


def seeded_split(pairs: list[Each], fraction: float, seed: int) -> tuple[list[Each], list[Each]]:
    """(train, val): `fraction` of the pairs validates, at least one and not all.

    Who validates hangs on a hash of its name and the seed, so that few change when images are added.
    """
    if not 0 < fraction < 1:
        raise InputError(f"data.val_fraction={fraction}", do="give a number between 0 and 1")
    if not pairs:
        raise InputError("no image has a mask", do="look at data.images, data.masks and data.mask_suffix")
    if len(pairs) < 2:
        raise InputError(f"{pairs[0].image}: one image cannot train and validate", do="add images")
    count = min(max(round(fraction * len(pairs)), 1), len(pairs) - 1)
    digests = [sha256(f"{seed}/{pair.name}".encode()).digest() for pair in pairs]
    val = set(sorted(range(len(pairs)), key=digests.__getitem__)[:count])
    return (
        [pair for i, pair in enumerate(pairs) if i not in val],
        [pair for i, pair in enumerate(pairs) if i in val],
    )


def _pair_of(line: str, root: Path) -> Pair | None:
    """The image and the mask that a line names by their paths, whether they are there or not; None
    where it is one name."""
    for text in dict.fromkeys((line, line.replace("\\", "/"))):
        words = text.split(" ")
        halves = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
        marks = [text.partition(mark)[::2] for mark in "\t," if text.count(mark) == 1]
        for half in (*marks, *halves):
            image, mask = (_below(root, part.strip()) for part in half)
            if image.is_file() and mask.is_file():
                return Pair(image.stem, image, mask)
    # Nothing of that is there: a line that looks like paths is one, and the missing file is named.
    parts = [part.strip() for part in re.split("[\t,]", line)]
    parts = line.split() if len(parts) == 1 else parts
    if len(parts) == 2 and all(is_image(Path(part)) for part in parts):
        return Pair(Path(parts[0]).stem, *(_below(root, part) for part in parts))
    return None


def _below(root: Path, part: str) -> Path:
    """A path of a list: below `root`, also one that begins with a slash, unless it is a file as it stands."""
    path = root / part
    return path if path.is_file() or not path.is_absolute() else root / part.lstrip("/")


def _by_name(folder: Path, other: Path) -> dict[str, Path]:
    """The images of a folder and those below it, but for `other`, by their paths without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", do="set data.root, data.images and data.masks")
    found: dict[str, Path] = {}
    for path in image_files(folder, other):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise InputError(f"{path} and {found[name]} have one name", do="keep one of them")
        found[name] = path
    if not found:
        raise InputError(f"{folder}: no image in it", do="put images there")
    return found
