"""What a data set yields, and the one value that means "do not count this pixel"."""

from typing import NamedTuple

import numpy as np

from segtrain.errors import InputError

VOID = 255  # the ignored label, in every mask that leaves a data set
BORDER = (124, 116, 104)  # ImageNet's mean RGB: nearly zero once a backbone has normalised it


class Sample(NamedTuple):
    """One picture with its labels.

    image: uint8 H×W×3, RGB. mask: uint8 H×W of class indices, 255 = void. name: for messages.
    """

    image: np.ndarray
    mask: np.ndarray
    name: str


def check_num_classes(data: str, num_classes: int, class_names: tuple[str, ...]) -> None:
    """Raises InputError where `data.num_classes` is not what the data set has."""
    if num_classes != len(class_names):
        raise InputError(
            f"data.num_classes={num_classes}, but {data} has {len(class_names)} classes",
            do=f"leave it at {len(class_names)}",
        )
