"""Images one after the other through three stages at once: reading, the network, and writing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtrain.engine.loader import PIXELS
from segtrain.errors import InputError, SaveError

READERS = 2  # threads
VALUES = 1 << 27  # numbers of images that are read before their turn
WAITING = 4  # images that are to be written; fewer where these are large


class Loaded(NamedTuple):
    """An image as it was read.

    Attributes:
        name, path: of it.
        digests: of each kind of output, what it is made from.
        image: H×W×C.
        invalid: bool H×W, pixels without data; None where every pixel has some.
    """

    name: str
    path: Path
    digests: dict[str, str]
    image: np.ndarray
    invalid: np.ndarray | None


LoadImage = Callable[[str, Path], Loaded]
PredictBatch = Callable[[list[Loaded]], list[Any]]
WriteImage = Callable[[Loaded, Any], None]


class Pipeline:
    """Reads images in threads, predicts them in this one, and writes in another, in the images' order.

    While the network has a batch, the next images are read and the last ones written. What is written, and in
    which order, is as if all happened one after the other.

    Args:
        load: reads an image by name and path.
        predict: images of one size, together.
        write: writes the outputs of one.
        batch_size: images that `predict` gets at most; fewer where these are large.
        should_stop: what is in hand is finished when it says so, and nothing else is begun.
        advance: called with 1 after each image.
    """

    def __init__(
        self,
        load: LoadImage,
        predict: PredictBatch,
        write: WriteImage,
        *,
        batch_size: int = 1,
        should_stop: Callable[[], bool] = lambda: False,
        advance: Callable[[int], object] = lambda count: None,
    ):
        self.load, self.predict, self.write_one = load, predict, write
        self.batch_size, self.should_stop, self.advance = batch_size, should_stop, advance
        self.failures: dict[int, InputError | SaveError] = {}
        self.done = 0
        self._full: SaveError | None = None
        self._writing: deque[Future] = deque()

    def run(self, images: list[tuple[str, Path]]) -> list[InputError | SaveError]:
        """Takes all images through the stages.

        Returns:
            The errors of images that cannot be read, or whose outputs cannot be written, in their order.

        Raises:
            SaveError: the disk is full.
        """
        readers, writer = ThreadPoolExecutor(READERS), ThreadPoolExecutor(1)
        try:
            self._run(images, readers, writer)
        finally:
            readers.shutdown(cancel_futures=True)
            writer.shutdown(cancel_futures=True)
        if self._full is not None:
            raise self._full
        return [self.failures[i] for i in sorted(self.failures)]

    def _run(
        self, images: list[tuple[str, Path]], readers: ThreadPoolExecutor, writer: ThreadPoolExecutor
    ) -> None:
        coming: deque[Future] = deque()
        batch: list[tuple[int, Loaded]] = []
        begun, early = 0, self.batch_size + READERS
        for number in range(len(images)):
            if self._ended():
                break
            while begun < len(images) and len(coming) < early:
                coming.append(readers.submit(self.load, *images[begun]))
                begun += 1
            try:
                loaded = coming.popleft().result()
            except InputError as error:
                self.failures[number] = error
                self._finished()
                continue
            early = max(1, min(self.batch_size + READERS, VALUES // loaded.image.size))
            if batch and not self._fits(batch, loaded):
                self._predict(batch, writer)
                batch = []
            batch.append((number, loaded))
        if batch and not self._ended():
            self._predict(batch, writer)
        while self._writing:
            self._writing.popleft().result()

    def _fits(self, batch: list[tuple[int, Loaded]], loaded: Loaded) -> bool:
        """Whether an image goes into the batch."""
        pixels = loaded.image.shape[0] * loaded.image.shape[1]
        alike = loaded.image.shape == batch[0][1].image.shape
        return alike and len(batch) < self.batch_size and (len(batch) + 1) * pixels <= PIXELS

    def _predict(self, batch: list[tuple[int, Loaded]], writer: ThreadPoolExecutor) -> None:
        """The network's turn; what it gives is then written in the background."""
        try:
            predicted = self.predict([loaded for _, loaded in batch])
        except InputError as error:
            if len(batch) > 1:  # whose it is
                for one in batch:
                    self._predict([one], writer)
                return
            self.failures[batch[0][0]] = error
            self._finished()
            return
        for (number, loaded), one in zip(batch, predicted, strict=True):
            waiting = min(WAITING, PIXELS // (loaded.image.shape[0] * loaded.image.shape[1]))
            while len(self._writing) >= max(waiting, 1):
                self._writing.popleft().result()
            self._writing.append(writer.submit(self._write, number, loaded, one))

    def _write(self, number: int, loaded: Loaded, predicted: Any) -> None:
        """In the writer's thread."""
        if self._ended():
            return
        try:
            self.write_one(loaded, predicted)
        except (InputError, SaveError) as error:
            if isinstance(error, SaveError) and error.full:
                self._full = error
                return
            self.failures[number] = error
        self._finished()

    def _finished(self) -> None:
        self.done += 1
        self.advance(1)

    def _ended(self) -> bool:
        return self._full is not None or self.should_stop()
