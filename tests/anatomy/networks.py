"""Networks taken apart, each once."""

from functools import cache

import torch

from segtrain import build_model
from segtrain.anatomy.layer import Anatomy
from segtrain.commands.anatomy import anatomy_of


@cache
def taken_apart(name: str) -> Anatomy:
    """A model of 21 classes for an image of 600×600."""
    with torch.device("meta"):
        return anatomy_of(build_model(name, num_classes=21), (600, 600))
