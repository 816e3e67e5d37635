"""Folds of any data set: what validates is a function of the names, and keeps groups together."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch.utils import data as torch_data

from segtrain.contracts import (
    IGNORE_INDEX,
    Dataset,
    HasIdentity,
    HasInstances,
    HasPairs,
    Pair,
    Sample,
    Split,
)
from segtrain.data.checks.scan import read_labels, scan_masks
from segtrain.data.datasets.splits import offer_alike, source_of, split_of
from segtrain.errors import InputError


class Member(NamedTuple):
    """A sample of the whole data set.

    Attributes:
        split, at: where it is.
        name: its own.
        labels: that its mask has, without 255.
    """

    split: int
    at: int
    name: str
    labels: tuple[int, ...]


class Folded:
    """The training and validation images of a data set together, split anew.

    Args:
        data: the data set.
        folds: how many folds; null: one validation split of `val_fraction`.
        fold: the one that validates, from 0.
        group: a regular expression that is found in every name; images whose match (its first group, where
            it has one) is equal stay together. Null: every image is its own.
        val_fraction: of the images, without folds.
        seed: another seed, other folds.

    Raises:
        InputError: an argument that does not fit; when a split is first asked for, a name without a match,
            or fewer groups than folds.
    """

    def __init__(
        self,
        *,
        data: Dataset,
        folds: int | None = None,
        fold: int = 0,
        group: str | None = None,
        val_fraction: float = 0.25,
        seed: int = 0,
    ):
        if (folds is not None and not 0 <= fold < folds) or folds == 1:
            raise InputError(f"data.fold={fold} of data.folds={folds}", do="count folds from 0, at least two")
        if not 0 < val_fraction < 1:
            raise InputError(f"data.val_fraction={val_fraction}", do="give a number between 0 and 1")
        try:
            self.group = re.compile(group) if group is not None else None
        except re.error as error:
            raise InputError(f"data.group={group}: no regular expression ({error})", do="mend it") from error
        self.data, self.folds, self.fold = data, folds, fold
        self.val_fraction, self.seed = val_fraction, seed
        self.class_names, self.palette = data.class_names, data.palette
        offer_alike(self, data)

    @cached_property
    def train(self) -> "Subset":
        return self._subset([m for m in self.members if self.fold_of[m.split, m.at] != self._validating])

    @cached_property
    def val(self) -> "Subset":
        return self._subset([m for m in self.members if self.fold_of[m.split, m.at] == self._validating])

    @cached_property
    def test(self) -> Split:
        """The data set's own, which is in no fold. Raises NoSplit."""
        return split_of(self.data, "test")

    @property
    def _validating(self) -> int:
        return 0 if self.folds is None else self.fold

    @cached_property
    def members(self) -> list[Member]:
        """All samples, those that train first."""
        found = []
        for number, split in enumerate((self.data.train, self.data.val)):
            seen = scan_masks(split, "folds", _look)
            found += [Member(number, i, name, tuple(labels)) for i, (name, labels) in enumerate(seen)]
        return found

    @cached_property
    def fold_of(self) -> dict[tuple[int, int], int]:
        """The fold of each member by its place."""
        groups: dict[str, list[Member]] = {}
        for member in self.members:
            groups.setdefault(self.group_of(member.name), []).append(member)
        if len(groups) < (self.folds or 2):
            wanted = f"{self.folds} folds" if self.folds else "two splits"
            raise InputError(f"data: {len(groups)} groups for {wanted}", do="change data.folds or data.group")
        labels = {name: Counter(label for m in of for label in m.labels) for name, of in groups.items()}
        sizes = {name: len(of) for name, of in groups.items()}
        shares = [1 / self.folds] * self.folds if self.folds else [self.val_fraction, 1 - self.val_fraction]
        folds = assign_folds(sizes, labels, shares, self.seed)
        return {(m.split, m.at): folds[name] for name, of in groups.items() for m in of}

    def group_of(self, name: str) -> str:
        """The group of a name. Raises InputError where the expression is not found in it."""
        return name if self.group is None else find_group(self.group, name)

    def _subset(self, members: list[Member]) -> "Subset":
        return subset_of([self.data.train, self.data.val], [(m.split, m.at) for m in members])


def find_group(group: re.Pattern[str], name: str) -> str:
    """The group of a name: what the expression, or its first group, finds. Raises InputError for nothing."""
    found = group.search(name)
    if found is None:
        what = f"data.group={group.pattern}: not found in the name {name}"
        raise InputError(what, do="write an expression that every name has")
    return found[1] if group.groups and found[1] is not None else found[0]


class Subset(torch_data.Dataset):
    """Some samples of several splits."""

    def __init__(self, splits: Sequence[Split], chosen: list[tuple[int, int]]):
        self.splits, self.chosen = splits, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Sample:
        split, at = self.chosen[index]
        return self.splits[split][at]

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        """A sample's mask and name. Raises InputError."""
        split, at = self.chosen[index]
        return read_labels(self.splits[split], at)

    def source(self, index: int) -> tuple[str, Path | None]:
        """A sample's name and image file."""
        split, at = self.chosen[index]
        return source_of(self.splits[split], at)

    def identity(self) -> list:
        """A JSON value that changes with the splits' and with the choice; OSError where one has none."""
        if not all(isinstance(split, HasIdentity) for split in self.splits):
            raise OSError("a split without an identity")
        return [self.chosen, *(split.identity() for split in self.splits if isinstance(split, HasIdentity))]


class SubsetOfFiles(Subset):
    """Some samples of splits whose images and masks are files."""

    splits: Sequence[Any]

    @cached_property
    def pairs(self) -> list[Pair]:
        """The files."""
        return [self.splits[split].pairs[at] for split, at in self.chosen]

    @property
    def label_map(self) -> Mapping[int, int]:
        """Stored value -> label."""
        return self.splits[0].label_map

    def image(self, index: int) -> np.ndarray:
        """A sample's image. Raises InputError."""
        split, at = self.chosen[index]
        return self.splits[split].image(at)

    def stored(self, index: int) -> np.ndarray:
        """The numbers of a sample's mask. Raises InputError."""
        split, at = self.chosen[index]
        return self.splits[split].stored(at)


class SubsetWithInstances(SubsetOfFiles):
    """Some samples of splits with instance masks."""

    def instances(self, index: int) -> np.ndarray | None:
        """The number of the object at each pixel."""
        split, at = self.chosen[index]
        return self.splits[split].instances(at)


def subset_of(splits: Sequence[Split], chosen: list[tuple[int, int]]) -> Subset:
    """Some samples of splits, with what all of these offer beyond their contract.

    Args:
        splits: to choose from.
        chosen: (split, index) of each sample, in their order.
    """
    of_files = all(isinstance(split, HasPairs) for split in splits)
    with_objects = of_files and all(isinstance(split, HasInstances) for split in splits)
    kind = SubsetWithInstances if with_objects else SubsetOfFiles if of_files else Subset
    return kind(splits, chosen)


def assign_folds(
    sizes: Mapping[str, int], labels: Mapping[str, Mapping[int, int]], shares: Sequence[float], seed: int
) -> dict[str, int]:
    """The fold of each group, so that every fold has its share of the images and of each class's images.

    "On the Stratification of Multi-label Data", Sechidis et al., ECML 2011: the groups of the rarest class
    go first, each to the fold that still lacks most of it. Ties are broken by a hash of name and seed, so
    that the order of files does not matter.

    Args:
        sizes: images of each group.
        labels: of each group, in how many images each label is.
        shares: of each fold, adding up to 1.
        seed: of the hash.

    Returns:
        The index of a fold for each group; no fold is empty where there are as many groups.

    Example:
        >>> sorted(assign_folds({"a": 1, "b": 1}, {"a": {}, "b": {}}, [0.5, 0.5], 0).values())
        [0, 1]
    """
    total = Counter[int]()
    for counts in labels.values():
        total.update(counts)
    lacking = [{label: share * count for label, count in total.items()} for share in shares]
    room = [share * sum(sizes.values()) for share in shares]
    left = sorted(sizes, key=lambda name: sha256(f"{seed}/{name}".encode()).digest())
    result: dict[str, int] = {}
    while left:
        counts = Counter(label for name in left for label in labels[name])
        rarest = min(counts, key=lambda label: (total[label], label)) if counts else None
        of_class = [name for name in left if rarest is None or rarest in labels[name]]
        name = max(
            of_class, key=sizes.__getitem__
        )  # a large group fits nowhere later; of equal ones the first
        empty = [i for i in range(len(shares)) if i not in result.values()]
        open_ = empty if len(left) <= len(empty) else range(len(shares))
        fold = max(open_, key=lambda i: (lacking[i].get(rarest, 0) if rarest is not None else 0, room[i]))
        result[name] = fold
        left.remove(name)
        room[fold] -= sizes[name]
        for label, count in labels[name].items():
            lacking[fold][label] -= count
    return result


def _look(split: Split, index: int) -> list:
    """[name, labels] of a sample."""
    mask, name = read_labels(split, index)
    return [name, [label for label in np.unique(mask).tolist() if label != IGNORE_INDEX]]
