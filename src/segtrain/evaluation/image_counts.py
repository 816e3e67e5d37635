"""`image_counts.npz`: what an evaluation counted on each image, from which intervals over any union of images
can be drawn later, as over the folds of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segtrain.files import write_atomically

FILE = "image_counts.npz"


class ImageCounts(NamedTuple):
    """Counts of the images of an evaluation, of the final predictions.

    Attributes:
        names: of the images.
        counts: each class's correct, target and predicted pixels, int64 N×3×C.
    """

    names: list[str]
    counts: np.ndarray

    def save(self, folder: Path) -> None:
        """Writes the file. Raises SaveError."""
        names, counts = np.array(self.names, dtype=str), self.counts
        write_atomically(folder / FILE, lambda file: np.savez_compressed(file, names=names, counts=counts))

    def by_group(self, groups: Sequence[str]) -> np.ndarray:
        """The counts summed over the images of each group, int64 G×3×C."""
        numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
        summed = np.zeros((len(numbers), *self.counts.shape[1:]), np.int64)
        np.add.at(summed, [numbers[group] for group in groups], self.counts)
        return summed


def load_counts(folder: Path) -> ImageCounts | None:
    """What a run's folder holds; None where it has no such file, or a damaged one."""
    try:
        with np.load(folder / FILE) as saved:
            found = ImageCounts(saved["names"].tolist(), saved["counts"])
    except (OSError, ValueError, KeyError):
        return None
    return found if found.counts.ndim == 3 and len(found.names) == len(found.counts) else None
