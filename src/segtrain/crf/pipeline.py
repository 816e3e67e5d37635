"""The CRF in threads, while the network works on the next image."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
Refined = TypeVar("Refined")


def refine_in_threads(
    refine: Callable[[np.ndarray, np.ndarray], Refined],
    images: Iterable[tuple[Item, np.ndarray, np.ndarray]],
    threads: int | None = None,
) -> Iterator[tuple[Item, Refined]]:
    """Refines images in threads and yields the results in order.

    The next image is fetched while earlier ones are refined; each thread holds one image at most.

    Args:
        refine: of an image and its probabilities: `dense_crf` or `dense_crf_labels` with parameters.
        images: a key of the image, its image and its probabilities.
        threads: as many as this process has processors, if not given.

    Yields:
        The key and the result of `refine`, in the order of `images`.

    Example:
        >>> for name, labels in refine_in_threads(dense_crf_labels, predictions):
        ...     save(name, labels)
    """
    threads = threads or _processors()
    with ThreadPoolExecutor(threads, "dense_crf") as pool:
        waiting: deque = deque()
        for item, image, probabilities in images:
            if len(waiting) == threads:
                done, future = waiting.popleft()
                yield done, future.result()
            waiting.append((item, pool.submit(refine, image, probabilities)))
        for done, future in waiting:
            yield done, future.result()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
