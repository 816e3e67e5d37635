"""ScaleCrop against what it stands for: scale the whole photo, pad, crop, flip."""

import random
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from segtrain.contracts import IGNORE_INDEX
from segtrain.data.augment.scale_crop import ScaleCrop
from segtrain.data.datasets.shapes import Shapes
from segtrain.engine.loader import Augmented, TrainingStream, training_batches
from segtrain.errors import InputError

FILL = (124, 116, 104)


def seeded(seed: int, **keys) -> ScaleCrop:
    transform = ScaleCrop(**({"height": 96, "width": 128} | keys))
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return transform


def naively(transform: ScaleCrop, image: np.ndarray, mask: np.ndarray, plan: dict):
    """The same step by step on the whole photo, with the same random numbers."""
    rows, columns = plan["rows"], plan["columns"]
    if plan["mirrored"]:
        image, mask = image[:, ::-1], mask[:, ::-1]
    size = (columns.scaled, rows.scaled)
    large = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_LINEAR)
    down, across = ((2 * np.arange(a.scaled) + 1) * a.source // (2 * a.scaled) for a in (rows, columns))
    labels = np.ascontiguousarray(mask)[down[:, None], across]
    below = transform.height - rows.count - rows.before
    beside = transform.width - columns.count - columns.before
    window = np.s_[
        rows.first : rows.first + rows.count, columns.first : columns.first + columns.count
    ]  # of the scaled image
    around = rows.before, below, columns.before, beside, cv2.BORDER_CONSTANT
    return (
        cv2.copyMakeBorder(large[window], *around, value=FILL),
        cv2.copyMakeBorder(labels[window], *around, value=IGNORE_INDEX),
    )


def photo(kind: str, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    if kind == "black and white noise":
        return np.repeat(255 * rng.integers(0, 2, (height, width, 1), np.uint8), 3, 2)
    coarse = rng.integers(0, 256, (height // 12 + 2, width // 12 + 2, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


SIZES = [(375, 500), (360, 480), (97, 131), (40, 30), (1, 1), (3, 900), (701, 2)]


@pytest.mark.parametrize(
    ("kind", "most", "mean"), [("black and white noise", 10, 4), ("smooth patches", 4, 0.5)]
)
@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_whole_image_scaled_padded_cropped_and_flipped(size, kind, most, mean):
    image = photo(kind, *size)
    mask = np.random.default_rng(1).integers(0, 9, size, np.uint8)
    for seed in range(30):
        transform = seeded(seed)
        result = transform(image=image, mask=mask)
        expected, labels = naively(transform, image, mask, transform.params)
        assert np.array_equal(result["mask"], labels)
        off = np.abs(result["image"].astype(int) - expected)
        assert off.max() <= most
        assert off.mean() <= mean


def test_a_window_that_starts_at_the_images_corner_is_equal_to_the_bit():
    image = photo("black and white noise", 300, 400)
    for size in ((96, 128), (900, 900)):  # a part of the photo, and all of it
        transform = seeded(0, height=size[0], width=size[1], flip=0.0)
        transform.py_random.randint = lambda *_: 0
        result = transform(image=image, mask=image[..., 0])
        assert np.array_equal(result["image"], naively(transform, image, image[..., 0], transform.params)[0])


def test_unscaled_it_is_a_crop():
    image, mask = photo("black and white noise", 150, 170), np.zeros((150, 170), np.uint8)
    transform = seeded(3, scale=(1.0, 1.0), flip=0.0)
    cropped = transform(image=image, mask=mask)["image"]
    y, x = transform.params["rows"].first, transform.params["columns"].first
    assert np.array_equal(cropped, image[y : y + 96, x : x + 128])


def test_what_is_outside_the_image_is_filled_and_ignored():
    image, mask = np.full((50, 40, 3), 9, np.uint8), np.ones((50, 40), np.uint8)
    result = seeded(0, scale=(1.0, 1.0))(image=image, mask=mask)
    assert result["mask"].shape == (96, 128)
    assert (result["mask"] == 1).sum() == 50 * 40
    assert (result["image"][result["mask"] == IGNORE_INDEX] == FILL).all()
    assert (result["image"][result["mask"] == 1] == 9).all()
    assert result["mask"][23:73, 44:84].min() == 1  # in the middle


def test_windows_are_found_everywhere_at_every_scale_mirrored_half_of_the_time():
    transform, plans = seeded(0), []
    for _ in range(2000):
        plans.append(transform.get_params_dependent_on_data({"shape": (300, 400, 3)}, {}))
    scales = np.array([plan["rows"].scaled / 300 for plan in plans])
    assert scales.min() < 0.52
    assert scales.max() > 1.98
    assert np.histogram(scales, 3, (0.5, 2))[0].min() > 2000 / 3 - 100
    room = np.array([plan["columns"].first / max(plan["columns"].scaled - 128, 1) for plan in plans])
    assert np.histogram(room, 4, (0, 1))[0].min() > 430
    assert 900 < sum(plan["mirrored"] for plan in plans) < 1100


@pytest.mark.parametrize(("flip", "mirrored"), [(0.0, False), (1.0, True)])
def test_it_never_or_always_mirrors(flip, mirrored):
    column = np.tile(np.arange(128, dtype=np.uint8), (96, 1))
    result = seeded(0, scale=(1.0, 1.0), flip=flip)(image=np.dstack([column] * 3), mask=column)
    expected = column[:, ::-1] if mirrored else column
    assert np.array_equal(result["mask"], expected)
    assert np.array_equal(result["image"][..., 0], expected)


def test_only_the_window_is_scaled(monkeypatch):
    image, mask = photo("smooth patches", 2000, 3000), np.zeros((2000, 3000), np.uint8)
    scaled, resize = [], cv2.resize
    monkeypatch.setattr(
        cv2, "resize", lambda image, *a, **k: scaled.append(image.size) or resize(image, *a, **k)
    )
    for seed in range(40):
        transform = seeded(seed, height=256, width=256)
        transform(image=image, mask=mask)
        rows, columns = transform.params["rows"], transform.params["columns"]
        needed = 3 * (256 * rows.source / rows.scaled) * (256 * columns.source / columns.scaled)
        scaled[-1] /= needed
    assert np.mean(scaled) < 2  # with what it takes to the left and above to lie right


def batches(workers: int, start: int = 0) -> list:
    data = Augmented(Shapes(size=48, train_images=7).train, [ScaleCrop(height=40, width=40)], seed=3)
    stream = TrainingStream(7, 3, seed=3, start=start)
    return list(islice(training_batches(data, stream, num_workers=workers), 5))


def test_it_is_the_same_with_any_number_of_workers_and_after_resume():
    alone = batches(0)
    for others in (batches(1), batches(2)):
        assert all(
            torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(alone, others, strict=True)
        )
    assert torch.equal(batches(0, start=6)[0][0], alone[2][0])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"height": 0}, "128×0"),
        ({"scale": (2.0, 0.5)}, "scale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (1.0,)}, "scale"),
        ({"flip": 1.5}, "flip=1.5"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(keys, words):
    with pytest.raises(InputError, match=words):
        ScaleCrop(**({"height": 96, "width": 128} | keys))
