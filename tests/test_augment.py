"""Every augmentation pipeline that is shipped, on images larger and smaller than its window."""

import albumentations
import cv2
import numpy as np
import pytest
import torch

from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.contracts import Sample
from segtrain.data.augment.fitting import fit_transforms
from segtrain.engine.loader import Augmented
from segtrain.errors import InputError
from segtrain.input_spec import InputSpec

PIPELINES = sorted(path.stem for path in (CONFIG_DIR / "augment").glob("*.yaml"))


class Stripes(torch.utils.data.Dataset):
    """Images whose value is 40 times their label; an ignored column in each."""

    def __init__(self, height, width):
        self.labels = np.tile(np.repeat([0, 1, 3, 5], -(-width // 4))[:width].astype(np.uint8), (height, 1))

    def __len__(self):
        return 1

    def __getitem__(self, index):
        mask = self.labels.copy()
        mask[:, 10] = 255
        return Sample(np.repeat(40 * self.labels[..., None], 3, 2), mask, "stripes")


@pytest.mark.parametrize("size", [(100, 90), (400, 700)])
@pytest.mark.parametrize("name", PIPELINES)
def test_labels_stay_labels_and_stay_on_their_pixels(name, size):
    pipeline = instantiate(plain(compose_config("train", [f"augment={name}"]))["augment"], "augment").values()
    # What changes values alone, as noise does, moves nothing and would hide what does.
    moving = [t for t in pipeline if not isinstance(t, albumentations.ImageOnlyTransform)]
    stripes, right = Stripes(*size), []
    whole, moved = Augmented(stripes, pipeline, seed=0), Augmented(stripes, moving, seed=0)
    for epoch in range(4):
        for data in (whole, moved):
            image, mask, *_ = data[epoch, 0]
            assert image.shape[:2] == mask.shape
            assert set(np.unique(mask)) <= {0, 1, 3, 5, 255}
            if "crop" in name:
                assert mask.shape == (320, 320)
        image, mask, *_ = moved[epoch, 0]
        # Interpolation mixes values at the stripes' borders and nowhere else.
        around = np.ones((7, 7), np.uint8)
        seen = (cv2.erode(mask, around) == cv2.dilate(mask, around)) & (mask != 255)
        right.append((np.abs(image[..., 0].astype(int) - 40 * mask)[seen] <= 2).mean())
    assert np.mean(right) > 0.998  # a small image that is bent much may have broader borders


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint16"), (13, "float32")])
@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_takes_other_channels_and_numbers(name, channels, dtype):
    pipeline = instantiate(plain(compose_config("train", [f"augment={name}"]))["augment"], "augment")
    spec = InputSpec(channels, dtype, low=(0.0,) * channels, high=(4000.0,) * channels, rgb=(0, 0, 0))
    transforms = fit_transforms(pipeline, spec)  # which tries them all

    class Levels(Stripes):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            levels = sample.image[..., :1].astype(dtype) * 10
            return Sample(np.repeat(levels, channels, 2), sample.mask, "stripes", spec)

    sample = Augmented(Levels(600, 600), transforms, seed=0, spec=spec)[0, 0]
    assert sample.image.dtype == dtype
    assert sample.image.shape == (*sample.mask.shape, channels)
    assert sample.image.max() > 255  # no number was cut to a byte


def test_a_transform_of_ones_own_is_a_callable_with_a_generator():
    def darker(image, mask, rng):
        return (image * rng.uniform(0.2, 0.8)).astype(image.dtype), mask

    stripes = Stripes(64, 64)
    first, again = (Augmented(stripes, [darker], seed=1)[0, 0].image for _ in range(2))
    assert (first == again).all()
    assert first.max() < stripes[0].image.max()


@pytest.mark.parametrize(
    ("transform", "why"),
    [
        (albumentations.ToGray(p=1), "ToGray"),
        (lambda image, mask, rng: (image.astype(float), mask), "must leave images of 4 channels"),
    ],
)
def test_what_does_not_fit_the_images_is_refused_by_name(transform, why):
    spec = InputSpec(4, "uint8", low=(0.0,) * 4, high=(255.0,) * 4)
    with pytest.raises(InputError, match=f"augment.mine: .*{why}"):
        fit_transforms({"mine": transform}, spec)
