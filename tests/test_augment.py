"""Every augmentation pipeline that is shipped, on images larger and smaller than its window."""

import albumentations
import cv2
import numpy as np
import pytest
import torch

from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.contracts import Sample
from segtrain.engine.loader import Augmented

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
