"""The search for a CRF's parameters on validation images, coarse to fine, as DeepLab's authors did.

Chen et al. (ICLR 2015, section 5.1) leave the Gaussian kernel at w2 = 3, σγ = 3 and search the bilateral
one's weight and stds on 100 images. Every further round halves the steps, which are factors,
around the best so far.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from segtrain.crf import dense_crf_labels, labels_above
from segtrain.crf.pipeline import refine_in_threads

Ranges = Mapping[str, Sequence[float]]
SMALLEST_SHARE = 0.01  # of the largest probability: what a label must have at some pixel to be kept


class Trial(NamedTuple):
    """Parameters that were tried, by their dotted names, and their score."""

    values: dict[str, float]
    score: float


class Examples:
    """Validation images with a network's probabilities, computed once and kept small.

    In half precision: of a probability above 1e-5, the smallest that the CRF distinguishes, that keeps
    two digits or more. And of the labels alone that at some pixel come near the most probable one: an
    image of 375×500 with 5 of 21 classes takes 2 MB. Others take no part in the search.

    Args:
        smallest_share: how near, a share of its probability; 0 keeps all labels.

    Example:
        >>> examples = Examples()
        >>> examples.add(image, softmax, mask)
        >>> for mask, labels in examples.labels({"iterations": 5}):
        ...     matrix += confusion_matrix(mask, labels)
    """

    def __init__(self, smallest_share: float = SMALLEST_SHARE):
        self.smallest_share = smallest_share
        self._kept: list[_Example] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, image: np.ndarray, probabilities: np.ndarray, mask: np.ndarray) -> None:
        """Keeps an image.

        Args:
            image: H×W×3.
            probabilities: float32 C×H×W.
            mask: integers H×W, of the image's annotation.
        """
        kept = labels_above(probabilities, self.smallest_share)
        rows = probabilities[kept].astype(np.float16)
        self._kept.append(_Example(image, len(probabilities), kept, rows, mask))

    def labels(self, parameters: Mapping[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Refines every image.

        Args:
            parameters: keyword arguments of `dense_crf`.

        Yields:
            Each image's mask, and the labels that the CRF gives, int64 H×W.

        Raises:
            InputError: parameters that do not fit.
        """
        images = ((one.mask, one.image, one.probabilities()) for one in self._kept)
        return refine_in_threads(partial(dense_crf_labels, **parameters), images)


class _Example(NamedTuple):
    image: np.ndarray
    classes: int
    kept: np.ndarray
    rows: np.ndarray
    mask: np.ndarray

    def probabilities(self) -> np.ndarray:
        """float32 C×H×W; 0 for the labels that were not kept."""
        every = np.zeros((self.classes, *self.rows.shape[1:]), np.float32)
        few = self.rows.astype(np.float32)
        every[self.kept] = few / few.sum(0)
        return every


def search(
    score: Callable[[dict[str, float]], float],
    ranges: Ranges,
    *,
    rounds: int = 3,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Searches for the parameters with the best score, coarse to fine.

    Args:
        score: of parameters by their dotted names; the higher the better.
        ranges: the values of the first round, ascending, above 0; one value alone stays.
        rounds: the first tries all combinations, each further one the best so far and two values
            nearer to it in each range, half the factor up and down.
        on_trial: gets each trial when it is done.

    Returns:
        Every trial, the best first.

    Example:
        >>> search(lambda values: -abs(values["x"] - 3), {"x": (1, 2, 4)})[0].values
        {'x': 2.83}
    """
    tried: dict[tuple[float, ...], float] = {}
    for _ in range(rounds):
        for values in itertools.product(*ranges.values()):
            if values not in tried:
                tried[values] = score(dict(zip(ranges, values, strict=True)))
                on_trial(Trial(dict(zip(ranges, values, strict=True)), tried[values]))
        best = max(tried, key=tried.__getitem__)
        ranges = {name: _around(ranges[name], value) for name, value in zip(ranges, best, strict=True)}
    trials = [Trial(dict(zip(ranges, values, strict=True)), tried[values]) for values in tried]
    return sorted(trials, key=lambda trial: -trial.score)


def trials_in(ranges: Ranges, *, rounds: int = 3) -> int:
    """How many trials `search` makes, at most.

    Args:
        ranges: as of `search`.
        rounds: as of `search`.
    """
    first = math.prod(len(values) for values in ranges.values())
    further = math.prod(3 if len(values) > 1 else 1 for values in ranges.values())
    return first + (rounds - 1) * (further - 1)


def with_values(parameters: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """Replaces some of `dense_crf`'s parameters.

    Args:
        parameters: keyword arguments of `dense_crf`, which stay as they are.
        values: new ones by their dotted names, as `bilateral.sxy`.

    Returns:
        A copy with those values.
    """
    changed = copy.deepcopy(dict(parameters))
    for name, value in values.items():
        *parents, last = name.split(".")
        node = changed
        for key in parents:
            node = node[key]
        node[last] = value
    return changed


def _around(values: Sequence[float], best: float) -> tuple[float, ...]:
    """The best value and two nearer to it than its neighbours; beyond an end, as far as towards the other."""
    if len(values) == 1:
        return tuple(values)
    i = values.index(best)
    below = values[i - 1] if i > 0 else best * best / values[i + 1]
    above = values[i + 1] if i + 1 < len(values) else best * best / values[i - 1]
    return _rounded(math.sqrt(best * below)), best, _rounded(math.sqrt(best * above))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
