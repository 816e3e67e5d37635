"""What the server of a benchmark wants to be sent."""

from typing import NamedTuple

import numpy as np


class Submission(NamedTuple):
    """Label images in a server's form.

    path: of an image's PNG, with {name} for its name. stored: the number that stands for each class.
    palette: the colours of a palette PNG; without one it is grey.
    """

    path: str
    stored: tuple[int, ...]
    palette: tuple[tuple[int, int, int], ...] | None = None

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Classes (uint8 H×W) as they are stored (uint8 H×W)."""
        return np.array(self.stored, np.uint8)[labels]
