"""Skeletons of regions: lines of one pixel, connected as the region is.

"Parallel thinning with two-subiteration algorithms", Guo and Hall, Communications of the ACM 1989,
algorithm A1: border pixels are taken away in turns, those at the upper right and those at the lower left,
while that changes no connection and shortens no line.
"""

from functools import cache

import numpy as np

AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # clockwise from above


def thinned(inside: np.ndarray) -> np.ndarray:
    """bool H×W: the skeleton of a bool H×W.

    Example:
        >>> thinned(np.ones((3, 9), bool)).any(1)
        array([False,  True, False])
    """
    if not inside.any():
        return inside
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(inside[box].astype(np.uint8), 1)
    height, width = (side - 2 for side in padded.shape)
    centre = padded[1:-1, 1:-1]
    changed = True
    while changed:
        changed = False
        for removable in _tables():
            code = np.zeros((height, width), np.uint8)
            for bit, (down, right) in enumerate(AROUND):
                neighbour = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
                code |= neighbour << np.uint8(bit)
            taken = np.bitwise_and(removable[code], centre)
            if taken.any():
                centre -= taken
                changed = True
    result = np.zeros_like(inside)
    result[box] = centre.astype(bool)
    return result


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Of each turn, uint8 256: whether a pixel goes, by its eight neighbours as bits in AROUND's order."""
    first, second = np.zeros((2, 256), np.uint8)
    for code in range(256):
        n, ne, e, se, s, sw, w, nw = (bool(code >> bit & 1) for bit in range(8))
        crossings = sum((not n and (ne or e), not e and (se or s), not s and (sw or w), not w and (nw or n)))
        pairs = min(
            sum((nw or n, ne or e, se or s, sw or w)),
            sum((n or ne, e or se, s or sw, w or nw)),
        )
        if crossings == 1 and 2 <= pairs <= 3:
            first[code] = not ((n or ne or not se) and e)
            second[code] = not ((s or sw or not nw) and w)
    return first, second
