"""`shapes`: the embedded data set, drawn from (seed, index) and never stored.

Small images that cannot be segmented by colour, by texture or by outline alone:

- Three textures, each worn by two classes (dots: disc, ring; stripes: box, cross; checks:
  triangle, rod), so that texture names the pair and only context names the class.
- Objects hide one another, are lit unevenly, and lie on a textured, noisy background.
- Ring walls, crosses and rods are thin beside a stride of 32, so that coarse scores lose them.
- As in PASCAL VOC, one pixel on either side of every outline is ignored.
"""

from collections.abc import Callable

import cv2
import numpy as np
from torch.utils.data import Dataset

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.errors import InputError

SMALLEST = 8  # pixels of a side
CLASS_NAMES = ("background", "disc", "ring", "box", "cross", "triangle", "rod")
PALETTE = (
    (0, 0, 0),
    (230, 80, 60),
    (250, 180, 60),
    (60, 130, 220),
    (110, 210, 230),
    (80, 170, 70),
    (190, 110, 200),
)
HUES = (8, 100, 55)  # OpenCV degrees / 2, the usual colour of dots, stripes and checks
HUE_SPREAD = 9  # std: neighbouring textures' colours overlap
SEEDS = {"train": 0, "val": 1, "test": 2}
Rng = np.random.Generator


class Shapes:
    """The splits of `shapes`; they share no image, since the split enters the seed.

    Args:
        size: height and width of an image, in pixels.
        train_images, val_images, test_images: images in the splits.
        seed: another seed gives other images.
        num_classes: must be 7, the classes that are drawn.
    """

    class_names = CLASS_NAMES
    palette = PALETTE

    def __init__(
        self,
        *,
        size: int = 128,
        train_images: int = 4096,
        val_images: int = 64,
        test_images: int = 64,
        seed: int = 0,
        num_classes: int = 7,
    ):
        check_num_classes("shapes", num_classes, CLASS_NAMES)
        given = {"size": size, "train_images": train_images, "val_images": val_images}
        for key, value in (given | {"test_images": test_images, "seed": seed}).items():
            least = SMALLEST if key == "size" else 0
            if value < least:
                raise InputError(f"data.{key}={value}", do=f"give at least {least}")
        self.train = ShapesSplit("train", train_images, size, seed)
        self.val = ShapesSplit("val", val_images, size, seed)
        self.test = ShapesSplit("test", test_images, size, seed)


class ShapesSplit(Dataset):
    """Images 0 .. images-1 of one split, drawn when they are asked for."""

    def __init__(self, split: str, images: int, size: int, seed: int):
        self.split, self.images, self.size, self.seed = split, images, size, seed

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, SEEDS[self.split], index])
        image, mask = draw_scene(rng, self.size)
        return Sample(image, mask, self.source(index)[0])

    def source(self, index: int) -> tuple[str, None]:
        """An image's name; it is in no file."""
        return f"{self.split}_{index:05d}", None


def draw_scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (uint8 size×size×3 RGB) and its labels (uint8 size×size, 255 = ignored)."""
    image = _background(rng, size)
    labels = np.zeros((size, size), np.uint8)
    ignored = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(3, 6)):
        label = int(rng.integers(1, len(CLASS_NAMES)))
        silhouette, angle = _silhouette(rng, label, size)
        texture = _object_texture(rng, (label - 1) // 2, angle, size)
        # A slightly soft edge, as a lens gives.
        alpha = cv2.GaussianBlur(silhouette.astype(np.float32), (3, 3), 0.6)[..., None]
        image = alpha * texture + (1 - alpha) * image
        labels[silhouette == 1] = label
        outline = cv2.morphologyEx(silhouette, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        ignored[silhouette == 1] = 0  # what lies in front hides the outlines behind it
        ignored |= np.asarray(outline, np.uint8)
    image = image * _light(rng, size)
    image = image + rng.normal(0, rng.uniform(4, 10), image.shape)
    labels[ignored == 1] = IGNORE_INDEX
    return np.clip(image, 0, 255).astype(np.uint8), labels


def _smooth_noise(rng: Rng, size: int, cells: int, channels: int) -> np.ndarray:
    """Random values in -1..1 on a cells×cells grid, interpolated to size×size×channels."""
    coarse = rng.uniform(-1, 1, (cells, cells, channels)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels)


def _light(rng: Rng, size: int) -> np.ndarray:
    return 1 + 0.35 * _smooth_noise(rng, size, cells=3, channels=1)


def _background(rng: Rng, size: int) -> np.ndarray:
    """A grey-brown ground with coarse and fine texture."""
    base = rng.uniform(70, 170) + rng.uniform(-20, 20, 3)
    coarse = 25 * _smooth_noise(rng, size, cells=6, channels=3)
    fine = rng.uniform(8, 24) * _smooth_noise(rng, size, cells=size // 4, channels=1)
    return (base + coarse + fine).astype(np.float32)


def _object_texture(rng: Rng, kind: int, angle: float, size: int) -> np.ndarray:
    """Dots, stripes or checks (kind 0, 1, 2) in two shades of the kind's usual colour."""
    hue = (HUES[kind] + rng.normal(0, HUE_SPREAD)) % 180
    saturation, value = rng.uniform(90, 200), rng.uniform(130, 230)
    shades = np.array([[[hue, saturation, value], [hue, saturation, 0.5 * value]]]).astype(np.uint8)
    light, dark = cv2.cvtColor(shades, cv2.COLOR_HSV2RGB)[0].astype(np.float32)

    y, x = np.mgrid[:size, :size].astype(np.float32)
    period = rng.uniform(5, 8)
    u = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + rng.uniform(0, 6))
    v = np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period + rng.uniform(0, 6))
    pattern = (np.maximum(u + v - 0.6, 0) > 0, u > 0, u * v > 0)[kind]
    pattern = cv2.GaussianBlur(pattern.astype(np.float32), (3, 3), 0.8)[..., None]
    return pattern * dark + (1 - pattern) * light


def _silhouette(rng: Rng, label: int, size: int) -> tuple[np.ndarray, float]:
    """Where the object is (uint8 size×size of 0 and 1) and the angle by which it is turned."""
    center = rng.uniform(0.1, 0.9, 2) * size
    radius = rng.uniform(0.13, 0.26) * size
    angle = rng.uniform(0, np.pi)
    silhouette = np.zeros((size, size), np.uint8)
    _DRAW[CLASS_NAMES[label]](rng, silhouette, center, radius, angle)
    return silhouette, angle


def _polygon(canvas, center, angle, corners) -> None:
    """Fills the polygon whose corners are given relative to `center`, turned by `angle`."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.asarray(corners) @ turn.T + center
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], 1)


def _disc(rng, canvas, center, radius, angle) -> None:
    axes = (round(radius), round(radius * rng.uniform(0.75, 1)))
    cv2.ellipse(canvas, np.round(center).astype(int).tolist(), axes, np.degrees(angle), 0, 360, 1, -1)


def _ring(rng, canvas, center, radius, angle) -> None:
    wall = max(2, round(radius * rng.uniform(0.3, 0.45)))
    cv2.circle(canvas, np.round(center).astype(int).tolist(), round(radius - wall / 2), 1, wall)


def _box(rng, canvas, center, radius, angle) -> None:
    w, h = radius * rng.uniform(0.7, 1), radius * rng.uniform(0.6, 0.9)
    _polygon(canvas, center, angle, [(-w, -h), (w, -h), (w, h), (-w, h)])


def _cross(rng, canvas, center, radius, angle) -> None:
    arm = radius * rng.uniform(0.2, 0.3)
    for a in (angle, angle + np.pi / 2):
        _polygon(canvas, center, a, [(-radius, -arm), (radius, -arm), (radius, arm), (-radius, arm)])


def _triangle(rng, canvas, center, radius, angle) -> None:
    angles = angle + np.array([0, 2, 4]) * np.pi / 3 + rng.uniform(-0.2, 0.2, 3)
    _polygon(canvas, center, 0.0, 1.15 * radius * np.stack([np.cos(angles), np.sin(angles)], 1))


def _rod(rng, canvas, center, radius, angle) -> None:
    half, w = 1.5 * radius, max(2.5, radius * rng.uniform(0.14, 0.22))
    _polygon(canvas, center, angle, [(-half, -w), (half, -w), (half, w), (-half, w)])


_DRAW: dict[str, Callable] = {
    "disc": _disc,
    "ring": _ring,
    "box": _box,
    "cross": _cross,
    "triangle": _triangle,
    "rod": _rod,
}
