from itertools import islice

import albumentations
import numpy as np
import pytest
import torch

from segtrain.contracts import Sample
from segtrain.data.datasets.shapes import Shapes
from segtrain.engine.loader import (
    Augmented,
    TrainingStream,
    collate,
    epoch_order,
    evaluation_batches,
    training_batches,
)
from segtrain.errors import InputError


def take(stream, count):
    return list(islice(iter(stream), count))


def augmented(workers=0, *, start=0, batches=5):
    data = Augmented(
        Shapes(size=32, train_images=7).train,
        [albumentations.HorizontalFlip(p=0.5), albumentations.RandomCrop(24, 24)],
        seed=3,
    )
    stream = TrainingStream(7, 3, seed=3, start=start)
    return list(islice(training_batches(data, stream, num_workers=workers), batches))


def test_an_epoch_holds_every_sample_once():
    keys = [key for batch in take(TrainingStream(6, 2, seed=0), 6) for key in batch]
    for epoch in (0, 1):
        assert sorted(i for e, i in keys if e == epoch) == list(range(6))
    assert epoch_order(6, 0, 0) != epoch_order(6, 0, 1) or epoch_order(6, 0, 1) != epoch_order(6, 0, 2)


def test_a_stream_goes_on_at_any_position():
    whole = take(TrainingStream(5, 2, seed=1), 10)
    for done in range(10):
        assert take(TrainingStream(5, 2, seed=1, start=2 * done), 10 - done) == whole[done:]


def test_ranks_share_the_stream_without_overlap():
    alone = [key for batch in take(TrainingStream(8, 2, seed=1), 8) for key in batch]
    ranks = [take(TrainingStream(8, 2, seed=1, rank=r, world_size=2), 4) for r in (0, 1)]
    together = [key for pair in zip(*ranks, strict=True) for batch in pair for key in batch]
    assert together == alone


def test_augmentation_is_the_same_with_any_number_of_workers():
    for plain, parallel in zip(augmented(0), augmented(2), strict=True):
        assert torch.equal(plain[0], parallel[0])
        assert torch.equal(plain[1], parallel[1])
        assert plain[2] == parallel[2]


def test_augmentation_is_the_same_after_resume():
    resumed, whole = augmented(start=6, batches=3), augmented(batches=5)[2:]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(resumed, whole, strict=True))


def test_augmentation_differs_between_epochs_and_samples():
    crops = {batch[0].numpy().tobytes() for batch in augmented(batches=14)}
    assert len(crops) == 14


def test_making_batches_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    augmented(batches=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_smaller_images_get_a_ignored_border():
    small = Sample(np.full((2, 3, 3), 9, np.uint8), np.ones((2, 3), np.uint8), "small")
    large = Sample(np.full((4, 4, 3), 9, np.uint8), np.ones((4, 4), np.uint8), "large")
    images, masks, names = collate([small, large])
    assert images.shape == (2, 3, 4, 4)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert masks[0].tolist() == [[1, 1, 1, 255]] * 2 + [[255] * 4] * 2
    assert names == ["small", "large"]


class Faulty(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise InputError("mask.png: label 9")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_sample_stops_the_run_with_its_own_words(workers):
    batches = training_batches(
        Augmented(Faulty(), [], seed=0), TrainingStream(2, 1, seed=0), num_workers=workers
    )
    with pytest.raises(InputError, match=r"^mask.png: label 9$"):
        next(batches)
    with pytest.raises(InputError, match=r"^mask.png: label 9$"):
        next(evaluation_batches(Faulty(), 1, num_workers=workers))


def test_evaluation_takes_each_image_once_in_groups_of_one_size():
    class Sizes(torch.utils.data.Dataset):
        sides = (4, 4, 4, 5, 5, 4)

        def __len__(self):
            return 6

        def __getitem__(self, i):
            side = self.sides[i]
            return Sample(np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8), str(i))

    groups = [[s.name for s in g] for g in evaluation_batches(Sizes(), 2, num_workers=0)]
    assert groups == [["0", "1"], ["2"], ["3", "4"], ["5"]]
    ranks = [evaluation_batches(Sizes(), 2, num_workers=0, rank=r, world_size=4) for r in range(4)]
    names = [s.name for r in ranks for g in r for s in g]
    assert sorted(names) == list("012345")


def test_transforms_that_two_loaders_share_give_each_what_its_seed_says():
    data, transforms = Shapes(size=32, train_images=7).train, [albumentations.RandomCrop(24, 24)]
    first, other = (Augmented(data, transforms, seed=seed) for seed in (3, 4))
    alone = Augmented(data, [albumentations.RandomCrop(24, 24)], seed=3)
    equal = [np.array_equal(first[0, i].image, other[0, i].image) for i in range(5)]
    assert sum(equal) < 2  # of 81 crops two may be the same
    for index in range(5):
        assert np.array_equal(first[0, index].image, alone[0, index].image)


def test_what_is_no_transform_of_albumentations_is_named():
    with pytest.raises(InputError, match="must hold transforms, got 'flip'"):
        Augmented(Faulty(), ["flip"], seed=0)
