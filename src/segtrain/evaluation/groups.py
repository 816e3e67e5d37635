"""Is one model better than another? Several checkpoints of each, from different seeds, on the same images.

A difference between two checkpoints says nothing of their models: another seed may differ as much. Each
draw takes images anew, the same of every checkpoint, and of each model seeds anew ("The pigeonhole
bootstrap", Owen, Annals of Applied Statistics 2007, for data crossed in two ways). Of S seeds S - 1 are
drawn ("Resampling inference with complex survey data", Rao and Wu, JASA 1988): S would make the spread too
small, by half for two seeds. The draws give the standard error; the interval takes Student's t with the
degrees of freedom of Welch and Satterthwaite, since a spread of a few seeds is itself uncertain. Where a
model has one seed, its interval is over the images, and holds for that checkpoint alone.

With several models every pair is a chance to be wrong: the p values are Holm's ("A Simple Sequentially
Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 1979), by which all statements
together are wrong with 5 % at most.

Of 100 simulated pairs of equal models with three seeds each, 5 were called different, and 95 intervals held
the true difference; of 100 pairs with one seed each, judged over images alone, 90 were called different.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from segtrain.evaluation.bootstrap import LEVEL, mean_iou, resampled

Interval = tuple[float, float]


class GroupDifference(NamedTuple):
    """Of two models' mean IoU, each the mean over its seeds; second minus first.

    Attributes:
        first, second: the models' places among those compared.
        mean_iou: the difference; None where no class occurs.
        interval: of 95 %; None for one image.
        p: two-sided, of this pair alone; p_holm: with all the pairs.
        over_seeds: whether both models have several seeds; else it holds for the checkpoints alone.
    """

    first: int
    second: int
    mean_iou: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    over_seeds: bool

    @property
    def is_significant(self) -> bool:
        """Whether Holm's p value is below 5 %."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL / 100


def compare_groups(groups: Sequence[Sequence[np.ndarray]], *, seed: int = 0) -> list[GroupDifference]:
    """Compares every pair of models.

    Args:
        groups: of each model, counts N×3×C (`class_counts`) of each of its checkpoints on the same
            N images.
        seed: of the draws.

    Returns:
        The pairs (0, 1), (0, 2), ..., (1, 2), ...

    Example:
        >>> compare_groups([[a_seed0, a_seed1], [b_seed0, b_seed1]])[0].interval
    """
    draws = [_draws_of_seeds(group, seed, place) for place, group in enumerate(groups)]
    values = [np.array([float(mean_iou(counts.sum(0))) for counts in group]) for group in groups]
    images = len(groups[0][0])
    pairs = [_compare(i, j, values, draws, images) for i, j in combinations(range(len(groups)), 2)]
    adjusted = holm([pair.p for pair in pairs])
    return [pair._replace(p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)]


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's p values of several tests; those that could not be made count in none.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    made = sorted((p, i) for i, p in enumerate(values) if p is not None)
    result: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, i) in enumerate(made):
        largest = max(largest, min(1.0, (len(made) - rank) * p))
        result[i] = largest
    return result


def _draws_of_seeds(group: Sequence[np.ndarray], seed: int, place: int) -> np.ndarray:
    """The mean of the mean IoU over drawn seeds on drawn images, a value for each draw."""
    of_seeds = np.stack(
        [np.concatenate([np.empty(0), *map(mean_iou, resampled(counts, seed))]) for counts in group]
    )
    seeds = len(group)
    if seeds == 1:
        return of_seeds[0]
    random = np.random.default_rng((seed, place))  # the images' draws are those of all models
    drawn = random.integers(0, seeds, (seeds - 1, of_seeds.shape[1]))
    return np.take_along_axis(of_seeds, drawn, 0).mean(0)


def _compare(
    i: int, j: int, values: list[np.ndarray], draws: list[np.ndarray], images: int
) -> GroupDifference:
    gain = float(values[j].mean() - values[i].mean())
    over_seeds = min(len(values[i]), len(values[j])) > 1
    spread = draws[j] - draws[i]
    spread = spread[~np.isnan(spread)]
    if np.isnan(gain) or not len(spread):
        return GroupDifference(i, j, None if np.isnan(gain) else gain, None, None, None, over_seeds)
    if not over_seeds:
        low, high = np.percentile(spread, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
        beyond = min((spread <= 0).sum(), (spread >= 0).sum()) + 1
        p = min(1.0, 2 * beyond / (len(spread) + 1))
        return GroupDifference(i, j, gain, (float(low), float(high)), float(p), None, over_seeds)
    error, freedom = float(spread.std()), _freedom(float(spread.var()), values[i], values[j], images)
    if not error:
        same = gain == 0
        return GroupDifference(i, j, gain, (gain, gain), 1.0 if same else 0.0, None, over_seeds)
    half = float(stdtrit(freedom, (1 + LEVEL / 100) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(gain) / error))
    return GroupDifference(i, j, gain, (gain - half, gain + half), p, None, over_seeds)


def _freedom(variance: float, first: np.ndarray, second: np.ndarray, images: int) -> float:
    """Welch's and Satterthwaite's degrees of freedom of a variance whose parts are the seeds' of both
    models and the images'."""
    parts = [(float(v.var(ddof=1)) / len(v), len(v) - 1) for v in (first, second)]
    parts.append((max(variance - sum(part for part, _ in parts), 0.0), images - 1))
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / freedom for part, freedom in parts)
    return total**2 / spread if spread else float(images - 1)
