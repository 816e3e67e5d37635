"""Any data set for `task=multilabel`: its class indices as a yes or no for each class."""

from functools import cached_property
from pathlib import Path

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Dataset, HasInputHints, InputHints, Sample, Split
from segtrain.data.datasets.splits import source_of, split_of


class OneHot:
    """A data set whose masks are H×W×C of 0 and 1, 255 where a pixel is ignored. Masks that have several
    labels a pixel already are left as they are.

    Args:
        data: the data set.
    """

    def __init__(self, data: Dataset):
        self.data = data
        self.class_names, self.palette = data.class_names, data.palette

    def input_hints(self) -> InputHints:
        """Those of the data set. Raises InputError."""
        return self.data.input_hints() if isinstance(self.data, HasInputHints) else InputHints()

    @cached_property
    def train(self) -> "OneHotSplit":
        return OneHotSplit(self.data.train, len(self.class_names))

    @cached_property
    def val(self) -> "OneHotSplit":
        return OneHotSplit(self.data.val, len(self.class_names))

    @cached_property
    def test(self) -> "OneHotSplit":
        return OneHotSplit(split_of(self.data, "test"), len(self.class_names))


class OneHotSplit:
    """A split of such a data set."""

    def __init__(self, split: Split, classes: int):
        self.split, self.classes = split, classes

    def __len__(self) -> int:
        return len(self.split)

    def source(self, index: int) -> tuple[str, Path | None]:
        """A sample's name and image file."""
        return source_of(self.split, index)

    def __getitem__(self, index: int) -> Sample:
        sample = self.split[index]
        if sample.mask.ndim == 3:
            return sample
        mask = (sample.mask[..., None] == np.arange(self.classes)).astype(np.uint8)
        mask[sample.mask == IGNORE_INDEX] = IGNORE_INDEX
        return sample._replace(mask=mask)
