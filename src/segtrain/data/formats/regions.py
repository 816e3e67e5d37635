"""What an annotation tool outlines: polygons, and masks in a box. Each knows its category and its pixels."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from segtrain.contracts import Colour

FARTHEST = 1_000_000  # pixels of a corner from the image's; tools that draw count with 32 bits
# What a damaged or foreign file leads the reader of a format into.
DAMAGED = (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)


class Region(Protocol):
    """Some pixels of an image.

    Attributes:
        category: the class's name as the file has it; None is ignored.
    """

    @property
    def category(self) -> str | None: ...

    def draw(self, height: int, width: int, /) -> np.ndarray:
        """Which pixels, bool H×W. Raises ValueError where the annotation is damaged."""
        ...


class Item(NamedTuple):
    """An image with its annotations.

    Attributes:
        name: for messages and predictions.
        image: its path.
        regions: in the file's order.
        size: height and width as the file says; None where it does not.
        mask: a stored mask instead of regions.
    """

    name: str
    image: Path
    regions: Sequence[Region] = ()
    size: tuple[int, int] | None = None
    mask: Path | None = None


class Problem(NamedTuple):
    """kind: one of the check's KINDS. where: the annotation. what: is wrong with it."""

    kind: str
    where: str
    what: str


class Annotations(NamedTuple):
    """What a reader found.

    Attributes:
        categories: names in the file's order, with their colours where it has some.
        train: all items, or those that train.
        val: None where the files do not say what validates.
        problems: in the order of the file.
        files: that were read.
        stored: what the numbers or colours of stored masks mean; None: nothing is stored.
        test: None where the files do not say what is kept for the test.
    """

    categories: dict[str, Colour | None]
    train: list[Item]
    val: list[Item] | None
    problems: list[Problem]
    files: list[Path]
    stored: dict[int, str] | dict[Colour, str] | None = None
    test: list[Item] | None = None

    def test_alone(self) -> "Annotations | None":
        """The test split as if it were all; None where there is none."""
        return None if self.test is None else self._replace(train=self.test, val=None, test=None)


class Polygon(NamedTuple):
    """Rings by the even-odd rule, so that a ring within another one cuts it out.

    Attributes:
        category: see Region.
        rings: each x, y, x, y, ...
        fill: of `polygons.py` or `coco_masks.py`.
        relative: coordinates are shares of the image's width and height times this; 0: pixels.
    """

    category: str | None
    rings: Sequence[Sequence[float]]
    fill: Callable[[Sequence[np.ndarray], int, int], np.ndarray]
    relative: float = 0

    def draw(self, height: int, width: int, /) -> np.ndarray:
        scale = np.array([width, height]) / self.relative if self.relative else 1
        rings = [near_points(np.reshape(ring, (-1, 2)) * scale) for ring in self.rings if len(ring)]
        return self.fill(rings, height, width)


class Painted(NamedTuple):
    """A mask in a box.

    Attributes:
        category: see Region.
        decode: gives the mask, bool h×w.
        left, top: where the box begins.
    """

    category: str | None
    decode: Callable[[], np.ndarray]
    left: int = 0
    top: int = 0

    def draw(self, height: int, width: int, /) -> np.ndarray:
        mask, part = np.zeros((height, width), bool), self.decode()
        x, y = max(self.left, 0), max(self.top, 0)
        part = part[y - self.top :, x - self.left :][: max(height - y, 0), : max(width - x, 0)]
        mask[y : y + part.shape[0], x : x + part.shape[1]] = part
        return mask


def near_points(points: Sequence | np.ndarray) -> np.ndarray:
    """float N×2. Raises ValueError where one is so far away, or nan, that tools that draw go astray."""
    pairs = np.asarray(points, float).reshape(-1, 2)
    if not (np.abs(pairs) <= FARTHEST).all():
        raise ValueError(f"a corner lies more than {FARTHEST:,} pixels away")
    return pairs


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """The ring of a box."""
    return [left, top, right, top, right, bottom, left, bottom]


def ring_problems(where: str, ring: Sequence[float], width: float, height: float) -> list[Problem]:
    """What is wrong with a ring: fewer than three corners, no area, or more than a pixel outside the image.

    Args:
        where: the annotation.
        ring: x, y, x, y, ...
        width, height: of the image, in the ring's units.
    """
    if len(ring) < 6 or len(ring) % 2:
        return [Problem("empty", where, f"a polygon of {len(ring)} numbers has no area")]
    xs, ys = ring[0::2], ring[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    if left == right or top == bottom:
        return [Problem("empty", where, "a polygon without an area")]
    if left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
        extent = f"{left:g}..{right:g} × {top:g}..{bottom:g}"
        return [Problem("outside", where, f"a polygon over {extent} in an image of {width:g}×{height:g}")]
    return []
