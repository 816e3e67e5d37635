"""Windows of scenes: blocks that train or validate, and tiles and crops of them that do not mix."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from segtrain.data.crops.boxes import Box
from segtrain.errors import InputError

MOST_READ = 2.5  # times a crop's bytes, where the file's blocks allow it


class Block(NamedTuple):
    """A part of a scene that trains or validates as a whole.

    Attributes:
        scene: its index.
        box: its pixels.
    """

    scene: int
    box: Box


def even_boxes(box: Box, side: int) -> list[Box]:
    """A box in parts whose sides are about `side`, none a remnant."""
    rows, columns = (
        np.linspace(0, whole, max(round(whole / side), 1) + 1).round().astype(int).tolist()
        for whole in (box.height, box.width)
    )
    return [
        Box(box.x + left, box.y + top, right - left, bottom - top)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def split_blocks(
    blocks: Sequence[Block],
    names: Sequence[str],
    *,
    shares: Sequence[float],
    fold: int,
    group: str | None,
    seed: int,
) -> tuple[list[Block], list[Block]]:
    """(train, val): the blocks of one of several parts validate; every part has a block.

    Who validates hangs on a hash of the scene's name, the block's place and the seed: another scene changes
    few blocks of the others.

    Args:
        blocks: of all scenes.
        names: of the scenes.
        shares: of the area, of each part; they add up to 1.
        fold: the part that validates.
        group: a regular expression found in every name; scenes whose match is equal stay together.
        seed: of the hash.

    Raises:
        InputError: fewer blocks or groups than parts, or a name without a match.
    """
    keys = [
        _group(group, names[one.scene])
        if group is not None
        else f"{names[one.scene]}/{one.box.x}/{one.box.y}"
        for one in blocks
    ]
    order = sorted(set(keys), key=lambda key: sha256(f"{seed}/{key}".encode()).digest())
    if len(order) < len(shares):
        what = "groups" if group is not None else "blocks"
        raise InputError(
            f"data: {len(order)} {what} for {len(shares)} parts",
            do="set data.group=null, a smaller data.block or fewer data.folds",
        )
    area = dict.fromkeys(order, 0)
    for key, one in zip(keys, blocks, strict=True):
        area[key] += one.box.width * one.box.height
    ends = _ends(np.array([area[key] for key in order]), shares)
    chosen = set(order[ends[fold] : ends[fold + 1]])
    val = [one for key, one in zip(keys, blocks, strict=True) if key in chosen]
    return [one for key, one in zip(keys, blocks, strict=True) if key not in chosen], val


def _ends(areas: np.ndarray, shares: Sequence[float]) -> list[int]:
    """Where parts of these shares of the areas begin, and the end of the last; none is empty."""
    done, ends = np.cumsum(areas) / areas.sum(), [0]
    for left, share in zip(range(len(shares) - 1, 0, -1), np.cumsum(shares)[:-1], strict=True):
        near = int(np.abs(done - share).argmin()) + 1
        ends.append(min(max(near, ends[-1] + 1), len(areas) - left))
    return [*ends, len(areas)]


def _group(pattern: str, name: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise InputError(f"data.group={pattern}: no regular expression ({error})", do="mend it") from error
    if found is None:
        raise InputError(
            f"data.group={pattern}: not found in the name {name}", do="write one that every name has"
        )
    return found[0]


def read_steps(crop: int, stored: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Of which numbers a crop's first row and column are multiples, so that little is read beside it.

    A file's blocks are read as a whole. A crop may begin anywhere where that costs at most `MOST_READ`, else
    at the border of a block: first of the columns', then of the rows', then of both.

    Args:
        crop: side in pixels; stored: height and width of the file's blocks.

    Returns:
        The two steps, and the most that is read, over the crop's bytes.

    Example:
        >>> read_steps(512, (256, 256))
        ((1, 1), 2.25)
    """

    def read(step: int, side: int) -> float:
        touched = math.ceil((crop - 1) / side) + 1 if step == 1 else math.ceil(crop / side)
        return touched * side / crop

    height, width = stored
    choices = [(1, 1), (1, width), (height, 1), (height, width)]
    costs = {steps: read(steps[0], height) * read(steps[1], width) for steps in choices}
    steps = next((one for one in choices if costs[one] <= MOST_READ), min(choices, key=costs.__getitem__))
    return steps, costs[steps]


def random_crop(
    rng: np.random.Generator,
    block: Block,
    size: tuple[int, int],
    val: Sequence[Block],
    crop: int,
    steps: tuple[int, int],
) -> Box:
    """A crop around a pixel of a training block, as likely around any; it may leave the block, but for a
    block that validates.

    Args:
        rng: draws the pixel.
        block: that trains.
        size: height and width of its scene.
        val: the blocks of the scene that validate.
        crop: its side; less where the scene, or a block between others, is smaller.
        steps: of its first row and column.
    """
    y, x = block.box.y + int(rng.integers(block.box.height)), block.box.x + int(rng.integers(block.box.width))
    high, wide = (min(crop, side) for side in size)
    box = Box(
        _snapped(x - wide // 2, 0, size[1] - wide, steps[1]),
        _snapped(y - high // 2, 0, size[0] - high, steps[0]),
        wide,
        high,
    )
    if not any(_touch(box, one.box) for one in val):
        return box
    own = block.box
    high, wide = min(crop, own.height), min(crop, own.width)
    return Box(
        _snapped(x - wide // 2, own.x, own.x + own.width - wide, steps[1]),
        _snapped(y - high // 2, own.y, own.y + own.height - high, steps[0]),
        wide,
        high,
    )


def _snapped(wanted: int, low: int, high: int, step: int) -> int:
    """Of the multiples of `step` from `low` to `high`, and of these two, the nearest to what is wanted."""
    below = wanted // step * step
    allowed = [one for one in (below, below + step, low, high) if low <= one <= high]
    return min(allowed, key=lambda one: abs(one - wanted))


def _touch(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height
