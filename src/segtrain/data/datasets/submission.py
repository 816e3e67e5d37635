"""What the server of a benchmark wants to be sent."""

from typing import NamedTuple

import numpy as np


class Submission(NamedTuple):
    """Label images in a server's form.

    path: of an image's PNG, with {name} for its name and {split} for the split's. stored: the number that
    stands for each class. palette: the colours of a palette PNG; without one it is grey. splits: what the
    server calls train, val and test, where it calls them otherwise.
    """

    path: str
    stored: tuple[int, ...]
    palette: tuple[tuple[int, int, int], ...] | None = None
    splits: tuple[tuple[str, str], ...] = ()

    def place(self, name: str, split: str) -> str:
        """The path of an image's PNG."""
        return self.path.format(name=name, split=dict(self.splits).get(split, split))

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Classes (uint8 H×W) as they are stored (uint8 H×W)."""
        return np.array(self.stored, np.uint8)[labels]
