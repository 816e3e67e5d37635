"""Class frequencies on counts worked by hand, and the cache that holds what a split's masks gave."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segtrain.contracts import Pair
from segtrain.data.checks.frequencies import Frequencies, class_frequencies, median_frequency_weights
from segtrain.data.datasets.shapes import Shapes
from segtrain.data.io import masks
from segtrain.data.io.files import PairedFiles
from segtrain.errors import InputError

MASKS = ([[0, 0, 1, 255]], [[0, 0, 0, 2]], [[0, 255, 255, 255]])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "segtrain"


@pytest.fixture
def pairs(tmp_path):
    for i, mask in enumerate(MASKS):
        Image.fromarray(np.array(mask, np.uint8)).save(tmp_path / f"{i}.png")
        Image.new("RGB", (4, 1)).save(tmp_path / f"{i}.jpg")
    return [Pair(str(i), tmp_path / f"{i}.jpg", tmp_path / f"{i}.png") for i in range(3)]


@pytest.fixture
def reads(monkeypatch):
    """The paths of the images and masks that are read."""
    opened = []
    read = masks.open_image
    monkeypatch.setattr(masks, "open_image", lambda path, **keys: opened.append(path) or read(path, **keys))
    return opened


def counted(pairs, num_classes=4):
    return [f.tolist() for f in class_frequencies(PairedFiles(pairs, num_classes=num_classes), num_classes)]


def test_a_class_is_counted_in_its_pixels_and_in_those_of_the_images_that_have_it(cache, pairs, reads):
    assert counted(pairs) == [[6, 1, 1, 0], [12, 4, 4, 0]]
    assert {path.suffix for path in reads} == {".png"}  # no image


def test_a_weight_is_the_median_frequency_over_the_classs_own():
    # Frequencies 1/2, 1/4, 1/10: the median is 1/4. The class that is nowhere gets 1.
    frequencies = Frequencies(np.array([50, 0, 25, 5]), np.array([100, 0, 100, 50]))
    assert median_frequency_weights(frequencies) == pytest.approx([0.5, 1.0, 1.0, 2.5])


def test_the_median_of_an_even_number_of_classes_lies_between_the_middle_two():
    frequencies = Frequencies(np.array([60, 20]), np.array([100, 100]))
    assert median_frequency_weights(frequencies) == pytest.approx([0.4 / 0.6, 2.0])


def test_of_masks_that_ignore_every_pixel_each_class_weighs_1():
    assert median_frequency_weights(Frequencies(np.zeros(3), np.zeros(3))) == [1.0, 1.0, 1.0]


def test_a_second_count_reads_no_mask(cache, pairs, reads):
    first = counted(pairs)
    reads.clear()
    assert counted(pairs) == first
    assert reads == []
    assert [path.suffix for path in cache.iterdir()] == [".json"]


def test_a_changed_mask_is_counted_anew(cache, pairs):
    counted(pairs)
    Image.fromarray(np.array([[2, 2, 2, 2]], np.uint8)).save(pairs[0].mask)
    assert counted(pairs) == [[4, 0, 5, 0], [8, 0, 8, 0]]
    status = pairs[0].mask.stat()
    Image.fromarray(np.array([[1, 1, 1, 1]], np.uint8)).save(pairs[0].mask)
    assert pairs[0].mask.stat().st_size == status.st_size  # its time alone tells
    os.utime(pairs[0].mask, ns=(0, status.st_mtime_ns + 1))
    assert counted(pairs) == [[4, 4, 1, 0], [8, 4, 4, 0]]


def test_another_selection_or_label_map_is_counted_anew(cache, pairs):
    counted(pairs)
    assert counted(pairs[:2]) == [[5, 1, 1, 0], [8, 4, 4, 0]]
    mapped = PairedFiles(pairs, num_classes=4, label_map={2: 3})
    assert class_frequencies(mapped, 4).pixels.tolist() == [6, 1, 0, 1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("[0, 2]", "[0, 3]"),
        lambda text: "[]",
        lambda text: '{"found": 7, "sha256": 7}',
    ],
)
def test_a_damaged_cache_is_counted_anew_and_replaced(cache, pairs, damage):
    first = counted(pairs)
    (path,) = cache.iterdir()
    whole = path.read_text()
    assert damage(whole) != whole
    path.write_text(damage(whole))
    assert counted(pairs) == first
    assert path.read_text() == whole


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, pairs):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert counted(pairs) == [[6, 1, 1, 0], [12, 4, 4, 0]]


def test_images_that_are_drawn_are_counted_without_a_cache(cache):
    split = Shapes(size=32, train_images=3).train
    masks = np.stack([split[i].mask for i in range(3)])
    frequencies = class_frequencies(split, 7)
    assert frequencies.pixels.tolist() == [(masks == label).sum() for label in range(7)]
    assert not cache.exists()


def test_a_faulty_mask_is_named_and_nothing_is_cached(cache, pairs):
    with pytest.raises(InputError, match=r"1\.png: label 2"):
        counted(pairs, num_classes=2)
    assert not cache.exists()


@pytest.mark.data
def test_camvids_weights_are_near_the_published_ones_but_for_signs(cache, real_data: Path):
    from segtrain.data.datasets.camvid import CamVid
    from segtrain.losses.cross_entropy import CLASS_WEIGHTS

    split = CamVid(root=str(real_data / "camvid")).train
    frequencies = class_frequencies(split, 11)
    assert frequencies.pixels[:3].tolist() == [10682767, 14750079, 623349]
    ours = np.array(median_frequency_weights(frequencies)) / CLASS_WEIGHTS["camvid_segnet"]
    assert ours[6] == pytest.approx(0.40, abs=0.01)  # SignSymbol: 3.85 instead of 9.64
    assert np.delete(ours, 6) == pytest.approx(1.1, abs=0.11)
