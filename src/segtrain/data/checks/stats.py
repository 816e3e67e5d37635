"""A data set in numbers: its images' mean, std and sizes, and how frequent its classes are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from segtrain.contracts import IGNORE_INDEX, Colour, Split
from segtrain.data.checks.frequencies import Frequencies
from segtrain.data.checks.scan import label_counts, map_indices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HATCHES = (None, "////", "....")  # of the splits' bars, and their names
STYLES = ("filled", "hatched", "dotted")


class SplitStats(NamedTuple):
    """The numbers of one split.

    mean, std: of each channel over all pixels, RGB in 0..255. sizes: images of each (width,
    height). counts: int64 N×256, the pixels of each label in each image.
    """

    mean: list[float]
    std: list[float]
    sizes: dict[tuple[int, int], int]
    counts: np.ndarray

    def frequencies(self, classes: int) -> Frequencies:
        """How frequent the classes are, as `class_frequencies` counts them."""
        own = self.counts[:, :classes]
        present = (own > 0) * self.counts.sum(1)[:, None]
        return Frequencies(own.sum(0), present.sum(0))

    def images(self, classes: int) -> list[int]:
        """The number of images that have each class."""
        return (self.counts[:, :classes] > 0).sum(0).tolist()

    def shares(self, classes: int) -> np.ndarray:
        """Each class's part of all pixels that are not ignored."""
        own = self.counts[:, :classes].sum(0)
        return own / max(own.sum(), 1)


def split_stats(split: Split, advance: Callable[[int], None] | None = None) -> SplitStats:
    """Reads every image and mask of a split. Raises InputError where one cannot be read."""
    seen = map_indices(len(split), lambda index: _sample_stats(split, index), advance)
    means, stds, sizes, counts = zip(*seen, strict=True)
    pixels = np.prod(sizes, axis=1, dtype=float)[:, None]
    mean = (means * pixels).sum(0) / pixels.sum()
    variance = ((np.square(stds) + np.square(means)) * pixels).sum(0) / pixels.sum() - mean**2
    return SplitStats(
        mean.tolist(),
        np.sqrt(variance.clip(min=0)).tolist(),
        dict(Counter(sizes).most_common()),
        np.array(counts),
    )


def _sample_stats(split: Split, index: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int], np.ndarray]:
    """Mean and std a channel, (width, height), and the pixels of each label."""
    image, mask, *_ = split[index]
    size = (mask.shape[1], mask.shape[0])
    mean, std = channel_moments(image)
    return mean, std, size, label_counts(mask)


def channel_moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of each channel of an image H×W×C, float64 C."""
    few = 4  # channels that OpenCV takes
    parts = [cv2.meanStdDev(image[..., first : first + few]) for first in range(0, image.shape[2], few)]
    mean, std = (np.concatenate([part[i].ravel() for part in parts]) for i in range(2))
    return mean, std


def to_json(stats: dict[str, SplitStats], class_names: tuple[str, ...], weights: list[float]) -> dict:
    """The metrics of the splits by name, and the training split's median-frequency weights."""

    def of_split(split: SplitStats) -> dict:
        pixels, _ = split.frequencies(len(class_names))
        rows = zip(class_names, pixels.tolist(), split.images(len(class_names)), strict=True)
        return {
            "images": len(split.counts),
            "mean": split.mean,
            "std": split.std,
            "sizes": {f"{width}x{height}": n for (width, height), n in split.sizes.items()},
            "ignored_pixels": int(split.counts[:, IGNORE_INDEX].sum()),
            "per_class": {name: {"pixels": p, "images": images} for name, p, images in rows},
        }

    balance = dict(zip(class_names, weights, strict=True))
    return {name: of_split(split) for name, split in stats.items()} | {"median_frequency_weights": balance}


def stats_figure(
    stats: dict[str, SplitStats], class_names: tuple[str, ...], palette: Sequence[Colour], title: str = ""
) -> Figure:
    """Draws a data set's statistics.

    Args:
        stats: of each split, by name.
        class_names: of the data set.
        palette: the RGB colour of each class, 0..255.
        title: the data set's name.

    Returns:
        A matplotlib figure: each class's pixels and images in every split, and the images' sizes.
    """
    from matplotlib.figure import Figure

    classes = len(class_names)
    result = Figure(figsize=(15, 2.5 + 0.3 * max(classes, 8)), layout="constrained")
    result.suptitle(title, fontsize=16)
    shares, images, sizes = result.subplots(1, 3, width_ratios=(1.2, 1, 1))
    rows, height = np.arange(classes), 0.8 / len(stats)
    colours = np.array(palette, float) / 255
    for i, (name, split) in enumerate(stats.items()):
        # The first split is filled with the classes' colours, the others hatched.
        style = {"facecolor": colours, "edgecolor": "0.6", "hatch": HATCHES[i]}
        positions = rows + (i - (len(stats) - 1) / 2) * height
        shares.barh(positions, 100 * split.shares(classes), height, label=name, **style)
        percent = 100 * np.array(split.images(classes)) / len(split.counts)
        images.barh(positions, percent, height, label=name, **style)
        (widths, heights), counts = zip(*split.sizes, strict=True), np.array(list(split.sizes.values()))
        area = 20 + 400 * counts / counts.sum()
        edge = ("black", "black", "C3")[i]
        sizes.scatter(widths, heights, area, facecolor="none" if i else "C0", edgecolor=edge, label=name)
    shares.set(title="pixels, % of those not ignored", xscale="log", xlim=(0.01, 100))
    shares.set(yticks=rows, yticklabels=class_names)
    images.set(title="images with the class, %", xlim=(0, 100), yticks=[])
    shares.xaxis.set_major_formatter("{x:g}")
    for axes in (shares, images):
        axes.invert_yaxis()
        axes.margins(y=0.01)
    if len(stats) > 1:
        shares.set_xlabel(", ".join(f"{name}: {style}" for name, style in zip(stats, STYLES, strict=False)))
    sizes.set(title="sizes (area: number of images)", xlabel="width", ylabel="height")
    largest = np.max([size for split in stats.values() for size in split.sizes], axis=0)
    sizes.set(xlim=(0, 1.15 * largest[0]), ylim=(0, 1.15 * largest[1]))
    sizes.legend(loc="lower right", labelspacing=1.5, borderpad=1)
    return result
