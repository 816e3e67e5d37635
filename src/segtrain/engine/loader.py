"""From samples to batches: the order is a function of (seed, epoch), an augmentation of
(seed, epoch, index), so that a run can be resumed anywhere, with any number of workers."""

import random
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from segtrain.contracts import IGNORE_INDEX, RandomState, Sample, Split, VariesByEpoch
from segtrain.engine.workers import loader_options, read_batches, share
from segtrain.errors import InputError, SegtrainError
from segtrain.input_spec import RGB8, InputSpec
from segtrain.seeds import rng_for, seed_for

cv2.setNumThreads(0)  # its threads would fight with the loader's processes
PIXELS = 1 << 22  # of an evaluation's batch of several images; two of Cityscapes


class TrainingStream(Sampler):
    """Endless batches of (epoch, index), each a pure function of the position in the stream.

    Args:
        length: samples in the data set.
        batch_size: samples that one process takes at a time.
        seed: of the order.
        start: samples that all processes together have consumed before.
        rank, world_size: this process takes every world_size-th batch.
    """

    def __init__(
        self, length: int, batch_size: int, *, seed: int, start: int = 0, rank: int = 0, world_size: int = 1
    ):
        self.length, self.batch_size, self.seed, self.start = length, batch_size, seed, start
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, []
        position = self.start + self.rank * self.batch_size
        while True:
            batch = []
            for p in range(position, position + self.batch_size):
                if p // self.length != epoch:
                    epoch = p // self.length
                    order = epoch_order(self.length, self.seed, epoch)
                batch.append((epoch, order[p % self.length]))
            yield batch
            position += self.batch_size * self.world_size


def epoch_order(length: int, seed: int, epoch: int) -> list[int]:
    """A permutation of 0 .. length-1 that depends on nothing but (seed, epoch)."""
    return rng_for(seed, epoch).permutation(length).tolist()


class Augmented(Dataset[Any]):
    """A data set under transforms, addressed by (epoch, index): those of albumentations, or callables
    (image, mask, rng) -> (image, mask) with a NumPy generator.

    A known failure is returned, not raised: raised in a worker it would come wrapped in that
    worker's traceback.
    """

    def __init__(self, dataset: Split, transforms: Iterable[Any], *, seed: int, spec: InputSpec = RGB8):
        self.dataset, self.seed, self.spec, self.transforms = dataset, seed, spec, list(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise InputError(
                    f"augment must hold transforms, got {transform!r}",
                    do="take one of albumentations, or a callable (image, mask, rng) -> (image, mask)",
                )
        # Asked here, since asking a protocol takes as long as a flip.
        self._varying = dataset if isinstance(dataset, VariesByEpoch) else None
        self._kinds = [(transform, isinstance(transform, RandomState)) for transform in self.transforms]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Sample | SegtrainError:
        epoch, index = key
        try:
            given = self._varying.at(epoch, index) if self._varying is not None else self.dataset[index]
            sample = Sample(*given).of(self.spec)
        except SegtrainError as error:
            return error
        generator = rng_for(self.seed, epoch, index)
        python_random = random.Random(seed_for(self.seed, epoch, index))
        image, mask = sample.image, sample.mask
        for (
            transform,
            is_random,
        ) in self._kinds:  # as albumentations.Compose, without its checks of every call
            if is_random:
                transform.set_random_state(generator, python_random)
                augmented = transform(image=image, mask=mask)
                if augmented["mask"].ndim < mask.ndim:  # OpenCV drops the last axis of one class
                    augmented["mask"] = augmented["mask"][..., None]
                image, mask = augmented["image"], augmented["mask"]
            else:
                image, mask = transform(image, mask, generator)
        try:
            return sample._replace(image=image, mask=_as_labels(mask, sample.name)).of(self.spec)
        except SegtrainError as error:
            return error


def _as_labels(mask: np.ndarray, name: str) -> np.ndarray:
    if mask.dtype != np.uint8:
        raise InputError(
            f"{name}: augment must leave the mask uint8, got {mask.dtype}",
            do="leave normalisation to the model",
        )
    return mask


class Plain(Dataset[Any]):
    """A data set as it is, with known failures returned (see Augmented)."""

    def __init__(self, dataset: Split, spec: InputSpec):
        self.dataset, self.spec = dataset, spec

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample | SegtrainError:
        try:
            return Sample(*self.dataset[index]).of(self.spec)
        except SegtrainError as error:
            return error


# Images N×C×H×W, uint8 or, of all other numbers, float32; masks uint8 N×H×W (N×C×H×W where a pixel has
# several labels); names.
Batch = tuple[Tensor, Tensor, list[str]]


def collate(samples: list[Sample | SegtrainError]) -> Batch | SegtrainError:
    """Stacks samples; smaller images get a border to the right and below, ignored in the mask."""
    good: list[Sample] = []
    for sample in samples:
        if isinstance(sample, SegtrainError):
            return sample
        good.append(sample)
    height = max(s.mask.shape[0] for s in good)
    width = max(s.mask.shape[1] for s in good)
    spec = good[0].input
    dtype = np.uint8 if spec.dtype == "uint8" else np.float32
    images = np.empty((len(good), height, width, spec.channels), dtype)
    masks = np.empty((len(good), height, width, *good[0].mask.shape[2:]), np.uint8)
    for i, (image, mask, *_) in enumerate(good):
        if mask.shape[:2] != (height, width):
            images[i], masks[i] = spec.fill, IGNORE_INDEX
        images[i, : image.shape[0], : image.shape[1]] = image
        masks[i, : mask.shape[0], : mask.shape[1]] = mask
    # The permuted view is channels-last in memory, which is what convolutions like best.
    maps = torch.from_numpy(masks).movedim(3, 1) if masks.ndim == 4 else torch.from_numpy(masks)
    pixels = torch.from_numpy(images)
    return share([pixels, maps]) or (pixels.permute(0, 3, 1, 2), maps, [s.name for s in good])


def training_batches(
    dataset: Augmented,
    stream: TrainingStream,
    *,
    num_workers: int,
    pinned: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[Batch, None, None]:
    """Endless batches in the stream's order, until `should_stop` says so while one is waited for.

    Args:
        dataset: of samples under augmentation.
        stream: what of it each batch has.
        num_workers: processes.
        pinned: whether the batches go to a GPU, which copies from such memory while the host goes on.
        should_stop: asked while a batch is waited for.

    Raises:
        InputError: a sample's; or the loader's processes are lost.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=stream,
        collate_fn=collate,
        pin_memory=pinned,
        persistent_workers=num_workers > 0,
        generator=torch.Generator(),  # or making the iterator would draw from the global one
        **loader_options(num_workers),
    )
    for batch in read_batches(loader, should_stop):
        if isinstance(batch, SegtrainError):
            raise batch
        yield batch


def _as_it_is(sample):
    return sample


def evaluation_batches(
    dataset: Split,
    batch_size: int,
    *,
    num_workers: int,
    rank: int = 0,
    world_size: int = 1,
    spec: InputSpec = RGB8,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[list[Sample]]:
    """Each of this rank's samples once and in order, in lists of images of one size: `batch_size`, or
    fewer where these are large (PIXELS).

    Rank r takes samples r, r + world_size, ...: none is padded, none counts twice. The lists end early where
    `should_stop` says so while a sample is waited for.
    """
    loader = DataLoader(
        Plain(dataset, spec),
        batch_size=None,
        sampler=range(rank, len(dataset), world_size),
        collate_fn=_as_it_is,
        generator=torch.Generator(),
        **loader_options(num_workers),
    )
    group: list[Sample] = []
    for sample in read_batches(loader, should_stop):
        if isinstance(sample, SegtrainError):
            raise sample
        full = len(group) == batch_size or (len(group) + 1) * sample.mask.size > PIXELS
        if group and (full or sample.image.shape != group[0].image.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group
