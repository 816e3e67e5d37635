"""A data set whose masks are drawn from the annotations of a labelling tool."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import Literal

from segtrain.contracts import Colour, InputHints, Pair
from segtrain.data.checks.refusal import refuse, remark
from segtrain.data.datasets.classes import named
from segtrain.data.datasets.pairing import seeded_split
from segtrain.data.datasets.palettes import okabe_ito
from segtrain.data.formats.drawing import DrawnSplit, Rules
from segtrain.data.formats.finding import Source
from segtrain.data.formats.regions import DAMAGED, Annotations, Item, Problem
from segtrain.data.io.files import PairedFiles, stamp
from segtrain.data.io.image_files import ImageFiles
from segtrain.data.io.masks import read_colours
from segtrain.errors import InputError, NoSplit, shorten
from segtrain.files import user_path

BACKGROUND = ("background", "_background_", "__background__")  # names that are class 0 as they stand
IGNORED = ("__ignore__", "ignore")  # names of what no loss and no metric counts
MOST_PIXELS = 1 << 30  # of an image
REFUSED = {"category", "missing", "ids", "size", "form"}  # kinds of problems that nobody can train with

KEPT = 2  # readings in memory: a data set's, and its test split's
# Stamps of the files and what was read last: the classes are counted before the data set is made.
_last: dict[str, tuple[list, Annotations]] = {}


class Annotated:
    """Images with the polygons and painted masks of an annotation tool.

    Classes are the file's categories in its order. Where pixels may be unlisted and no category is called
    background, class 0 is `background` and the categories follow. Ignored regions lie under all others.

    Args:
        read: reads a format: one of `data/formats/`.
        root: the folder that all else is relative to.
        annotations: a file or folder, as the format has it; null: its usual place.
        val_annotations: the same of the images that validate; null: the format's own splits, else at random.
        test_annotations: the same of the test split, whose images no random split takes.
        images: the folder of the images; null: anywhere below the root.
        num_classes: null counts them.
        class_names: which categories to take, in which order; null takes all.
        overlap: where regions of two classes lie over one another: the smaller wins (small_on_top), the
            later in the file (order), neither (ignore), or both (all, for `task=multilabel`: there is then no
            class `background`).
        unlisted: what a pixel is that no region has: background, or ignored (ignore).
        val_fraction, seed: of a random split.
        channels, rgb, range: of the images, as `ImageFiles` takes them.

    Raises:
        InputError: an argument that does not fit, a file that cannot be read, an unknown category, an image
            that is missing, an id used twice. `segdata action=check` names all of them.
    """

    def __init__(
        self,
        *,
        read: Callable[[Source], Annotations],
        root: str,
        annotations: str | None = None,
        val_annotations: str | None = None,
        test_annotations: str | None = None,
        images: str | None = None,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        overlap: Literal["small_on_top", "order", "ignore", "all"] = "small_on_top",
        unlisted: Literal["background", "ignore"] = "background",
        val_fraction: float = 0.25,
        seed: int = 0,
        channels: list[int] | None = None,
        rgb: list[int] | None = None,
        range: list[float] | None = None,
    ):
        self.image_files = ImageFiles(channels=channels, rgb=rgb, range=range)
        self.val_fraction, self.seed = val_fraction, seed
        place = user_path(root)
        self.found = _read_once(read, Source(place, annotations, val_annotations, images))
        self.tested = self.found.test_alone()
        if test_annotations is not None:
            self.tested = _read_once(read, Source(place, test_annotations, None, images))
        names = list(self.found.categories) if class_names is None else class_names
        names = [name for name in names if name not in IGNORED]
        if overlap == "all" and self.found.stored is not None:
            raise InputError(
                "data.overlap=all: these masks are painted, one class a pixel",
                do="leave it out; task=multilabel takes them too",
            )
        names = names if overlap == "all" else _in_order(names, unlisted)
        self.class_names = named(names, len(names) if num_classes is None else num_classes)
        colours = [self.found.categories.get(name) for name in self.class_names]
        drawn = okabe_ito(names)
        self.palette: tuple[Colour, ...] = tuple(
            own or other for own, other in zip(colours, drawn, strict=False)
        )
        self.rules = Rules({name: i for i, name in enumerate(self.class_names)}, overlap, unlisted)
        own = self.tested.problems if self.tested and test_annotations is not None else []
        self._refuse([*self.found.problems, *own, *self._unknown(), *self._impossible()])
        if not self.found.train:
            raise InputError(f"data.root={root}: no annotated image in it", do="check data.annotations")

    @cached_property
    def train(self) -> "DrawnSplit | PairedFiles":
        return self._split(self._items[0], self.found)

    @cached_property
    def val(self) -> "DrawnSplit | PairedFiles":
        return self._split(self._items[1], self.found)

    @cached_property
    def test(self) -> "DrawnSplit | PairedFiles":
        if self.tested is None:
            raise NoSplit("these annotations have none", do="set data.test_annotations")
        return self._split(self.tested.train, self.tested)

    @cached_property
    def _items(self) -> tuple[list[Item], list[Item]]:
        if self.found.val is not None:
            return self.found.train, self.found.val
        tested = {item.image for item in self.tested.train} if self.tested else set()
        left = [item for item in self.found.train if item.image not in tested]
        return seeded_split(left, self.val_fraction, self.seed)

    def _split(self, items: list[Item], found: Annotations) -> "DrawnSplit | PairedFiles":
        if found.stored is None:
            return DrawnSplit(items, self.rules, [stamp(path) for path in found.files], self._image_files)
        pairs = [Pair(item.name, item.image, item.mask) for item in items if item.mask is not None]
        numbers, colours = {}, {}
        for value, name in found.stored.items():
            label = self.rules.label(name)
            if isinstance(value, tuple):
                colours[value] = label
            else:
                numbers[value] = label
        read = partial(read_colours, labels=colours) if colours else None
        classes = len(self.class_names)
        return PairedFiles(
            pairs, num_classes=classes, label_map=numbers, read=read, image_files=self._image_files
        )

    def _image_files(self) -> ImageFiles:
        """What the images are, by those of the training split."""
        self.image_files.paths = self.image_files.paths or [item.image for item in self._items[0]]
        return self.image_files

    def input_hints(self) -> InputHints:
        """What the user, or a look at the images, says of their numbers. Raises InputError."""
        return self._image_files().hints()

    def _unknown(self) -> list[Problem]:
        """Regions of categories that are no classes."""
        tested = self.tested.train if self.tested else ()
        known = {*self.rules.labels, *IGNORED}
        return [
            Problem("category", item.name, f"{region.category} is none of the classes")
            for item in (*self.found.train, *(self.found.val or ()), *tested)
            for region in item.regions
            if region.category is not None and region.category not in known
        ]

    def _impossible(self) -> list[Problem]:
        """Sizes that no image has: masks of them would take all memory."""
        return [
            Problem("size", item.name, f"an image of {width}×{height} pixels")
            for item in (*self.found.train, *(self.found.val or ()))
            for height, width in [item.size or (1, 1)]
            if not (height >= 1 and width >= 1 and height * width <= MOST_PIXELS)
        ]

    def _refuse(self, problems: list[Problem]) -> None:
        """Raises InputError for what keeps from training; a check is given all of it, a kind at a time."""
        for kind in dict.fromkeys(problem.kind for problem in problems):
            own = [f"{problem.where}: {problem.what}" for problem in problems if problem.kind == kind]
            if kind in REFUSED:
                refuse(own, do="mend it; segdata action=check names all", kind=kind)
            else:
                remark(own, kind=kind)


def _read_once(read: Callable[[Source], Annotations], source: Source) -> Annotations:
    """What a reader finds, kept as long as the same files are asked for and have not changed."""
    key = f"{type(read).__module__}.{type(read).__qualname__} {getattr(read, '__dict__', {})} {source}"
    if key in _last:
        stamps, found = _last[key]
        with suppress(OSError):  # a file has gone
            if found.files and [stamp(path) for path in found.files] == stamps:
                return found
    if not source.root.is_dir():
        raise InputError(f"data.root={source.root}: no such folder", do="set data.root")
    if len(_last) >= KEPT:
        _last.clear()
    try:
        with _no_collection():
            found = read(source)
    except DAMAGED as error:  # that a reader does not know by the file
        what = f"data.root={source.root}: an annotation is damaged ({type(error).__name__}: {shorten(error)})"
        raise InputError(what, do="export it anew") from error
    _last[key] = [stamp(path) for path in found.files], found
    return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """No search for garbage while a reader makes many small objects, none of which goes: it would look at all
    of them again and again, a third of the time of 100,000 annotations."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _in_order(names: list[str], unlisted: str) -> list[str]:
    """The background first, added where a pixel may be it and no category is."""
    own = next((name for name in names if name.lower() in BACKGROUND), None)
    if own is not None:
        return [own, *(name for name in names if name != own)]
    return ["background", *names] if unlisted == "background" else names
