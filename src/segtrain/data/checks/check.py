"""Everything that is wrong with a data set, found by reading all of it once."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from typing import Any, NamedTuple

import numpy as np

from segtrain.contracts import Dataset, HasGroups, HasPairs, Split
from segtrain.data.checks.alike import Alike, hashes, most_alike
from segtrain.data.checks.refusal import collecting
from segtrain.data.checks.sample_check import Fault, SampleCheck, SampleReport, one_line, sample_faults
from segtrain.data.checks.scan import map_indices
from segtrain.data.datasets.splits import SPLITS, source_of, split_of
from segtrain.errors import InputError, NoSplit

Reports = dict[str, list[SampleReport]]  # by split

TRAINING = ("train", "val")  # splits that every data set has


class DataReport(NamedTuple):
    """data, splits: as far as they could be made. faults: all. pixels: int64 256 a split, of each label.
    alike: images that look like one of another split, which is no fault: frames of a video do."""

    data: Any
    splits: dict[str, Any]
    faults: list[Fault]
    pixels: dict[str, np.ndarray]
    alike: list[Alike]


def make_splits(make: Callable[[], Any]) -> tuple[Any, dict[str, Any], list[Fault]]:
    """The data set, its splits that can be made, and what was wrong with its lists and folders."""
    data: Any = None
    splits: dict[str, Any] = {}
    faults: list[Fault] = []
    with collecting() as refused:
        try:
            made = make()
            classes, colours = len(made.class_names), len(made.palette)
            if classes != colours:
                raise InputError(f"{classes} class_names, but {colours} colours in palette")
            data = made
        except Exception as error:  # a data set of the user's own may raise anything
            faults.append(Fault("made", "data", one_line(error)))
        for name in SPLITS if data is not None else ():
            try:
                split = split_of(data, name)
                if any(split is other for other in splits.values()):  # what validates may be the test split
                    continue
                splits[name] = split
                if not len(split):
                    raise InputError("the split is empty")
            except NoSplit:
                continue
            except Exception as error:
                splits.pop(name, None)
                faults.append(Fault("made", name, one_line(error)))
    return data, splits, [Fault(kind, "data", one_line(error)) for kind, error in refused] + faults


def check_data(make: Callable[[], Any], progress: Callable[[str, int], Any]) -> DataReport:
    """Reads every image and every mask of a data set.

    Args:
        make: builds what `data=` names, with `class_names`, `palette`, `train` and `val`.
        progress: gives a context manager over a function that is called after each sample read.
    """
    data, splits, faults = make_splits(make)
    pixels, reports = {}, {}
    for name, split in splits.items():
        with progress(f"reading {name}", len(split)) as advance, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # it does not say of which file
            reports[name] = map_indices(len(split), SampleCheck(split, name, len(data.class_names)), advance)
        faults += chain.from_iterable(one.faults for one in reports[name])
        faults += _as_a_whole(split, reports[name][0], faults)
        faults += _listed_again(split, name)
        counts = [one.counts for one in reports[name] if one.counts is not None]
        pixels[name] = np.sum(counts, axis=0) if counts else np.zeros(256, np.int64)
    faults += _overlap(reports)
    faults += shared_groups(data, splits)
    if "train" in pixels:
        faults += _unseen(data.class_names, pixels["train"])
    return DataReport(data, splits, faults, pixels, list(_alike(reports)))


def check_start(data: Dataset, *, several_labels: bool = False) -> None:
    """The part that costs nothing: neither split is empty, and the first sample of each is sound.

    Args:
        several_labels: whether a pixel may have several.

    Raises:
        InputError: it is not so, or what making a split or reading a sample raises.
    """
    for name in TRAINING:
        split = getattr(data, name)
        if not len(split):
            raise InputError(f"data.{name}: the split is empty", do="look at it with segdata")
        first = split[0]
        for fault in sample_faults(first, len(data.class_names)):
            raise InputError(f"{fault.where}: {fault.what}", do="look at all of them with segdata")
        if first.mask.ndim == 3 and not several_labels:
            raise InputError(f"{first.name}: a pixel has several classes", do="add task=multilabel")


def _listed_again(split: Split, name: str) -> list[Fault]:
    times = Counter(split.pairs if isinstance(split, HasPairs) else ())
    return [Fault("listed", str(pair.image), f"{n} times in {name}") for pair, n in times.items() if n > 1]


def _overlap(reports: Reports) -> list[Fault]:
    """Images of the same pixels in two splits."""
    return [
        Fault("overlap", image.where, f"the same image as {seen[image.digest]} in {before}")
        for before, name in combinations(reports, 2)
        for seen in [{one.digest: one.where for one in reports[before] if one.digest}]
        for image in reports[name]
        if image.digest in seen
    ]


def _alike(reports: Reports) -> Iterator[Alike]:
    """Images that look like one of a split before, but are not the same."""
    looks = {name: hashes([one.look for one in of]) for name, of in reports.items()}
    for before, name in combinations(reports, 2):
        for i, j, bits in most_alike(looks[before], looks[name]):
            image, other = reports[name][i], reports[before][j]
            if image.digest != other.digest:
                yield Alike(image.where, name, other.where, before, bits)


def shared_groups(data: Any, splits: dict[str, Any]) -> list[Fault]:
    """Groups with images in two splits, where the data set has some: folds keep them together, but a test
    split may share one. Raises InputError where a name has no group."""
    if not isinstance(data, HasGroups) or data.group is None:
        return []
    found = {
        name: Counter(data.group_of(source_of(split, i)[0]) for i in range(len(split)))
        for name, split in splits.items()
    }
    return [
        Fault("group", group, f"{found[before][group]} images in {before}, {images} in {name}")
        for before, name in combinations(found, 2)
        for group, images in found[name].items()
        if group in found[before]
    ]


def _unseen(class_names, pixels: np.ndarray) -> list[Fault]:
    """Classes that no pixel of train shows, unless no mask of it could be read."""
    unseen = [name for label, name in enumerate(class_names) if pixels.any() and not pixels[label]]
    return [Fault("unseen", "train", f"no pixel is {', '.join(unseen)}")] if unseen else []


def _as_a_whole(split: Split, first: SampleReport, known: list[Fault]) -> list[Fault]:
    """What the first sample is refused for although its image and its mask can be read."""
    try:
        if first.digest and first.counts is not None and not first.faults:
            _ = split[0]
    except Exception as error:
        files = [fault.where for fault in known if fault.kind in ("unreadable", "mask", "labels")]
        if not any(file in str(error) for file in files):  # said already
            return [Fault("mask", first.where, one_line(error))]
    return []
