"""`images.zip`: what an evaluation leaves for reports."""

import io

import numpy as np
import pytest
from PIL import Image

from segtrain.contracts import Sample
from segtrain.errors import InputError
from segtrain.reports.kept import KEPT, KeptImages, confidence_map, error_map, kept_positions, read_kept
from tests.reports.made_runs import NAMES, PALETTE, an_image, make_run


def test_what_is_kept_is_read_again(tmp_path):
    make_run(tmp_path, "model=unet", images=3, crf=True)
    kept = read_kept(tmp_path)
    assert kept.names == ("000.png", "001.png", "002.png")
    assert kept.counts.shape == (2, 3, 3, len(NAMES))
    assert kept.palette == PALETTE
    parts = kept.parts([1])[1]
    assert set(parts) == {"image", "mask", "prediction", "with_crf", "error", "confidence"}
    with Image.open(io.BytesIO(parts["mask"])) as mask:
        assert np.array_equal(np.asarray(mask), an_image(1, (64, 96)).mask)


def test_the_same_images_give_the_same_bytes_in_any_order(tmp_path):
    samples = [an_image(i, (20, 30)) for i in range(3)]
    for folder, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        kept = KeptImages(3, NAMES, PALETTE)
        for i in order:
            kept.add(i, samples[i], [samples[i].mask % 4], [np.zeros((3, 4), np.int64)])
        kept.write(tmp_path / folder)
    assert (tmp_path / "a/images.zip").read_bytes() == (tmp_path / "b/images.zip").read_bytes()


def test_large_images_get_smaller_and_many_are_thinned():
    kept = KeptImages(1, NAMES, PALETTE)
    mask = np.zeros((600, 1000), np.uint8)
    kept.add(0, Sample(np.zeros((600, 1000, 3), np.uint8), mask, "x"), [mask], [np.zeros((3, 4), np.int64)])
    with Image.open(io.BytesIO(kept.collected[0].parts["prediction"])) as drawn:
        assert drawn.size == (256, 154)
    assert kept_positions(3) == {0, 1, 2}
    many = kept_positions(1000)
    assert len(many) == KEPT
    assert {0, 999} <= many


def test_a_pixel_of_several_classes_is_drawn_too(tmp_path):
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[:4, :, 1] = 1
    mask[0, 0] = 255
    kept = KeptImages(1, NAMES, PALETTE)
    sample = Sample(np.zeros((8, 8, 3), np.uint8), mask, "x")
    kept.add(0, sample, [np.zeros_like(mask)], [np.zeros((3, 4), np.int64)], np.ones(mask.shape, np.float32))
    with Image.open(io.BytesIO(kept.collected[0].parts["error"])) as error:
        assert np.asarray(error)[0, 0] == 2
        assert (np.asarray(error) == 1).sum() == 31


def test_errors_and_confidence_are_seen():
    mask, predicted = np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 0]], np.uint8)
    with Image.open(io.BytesIO(error_map(mask, predicted))) as error:
        shown = np.asarray(error.convert("RGBA"))[0]
    assert shown[0].tolist() == [0, 0, 0, 150]
    assert shown[1].tolist() == [213, 94, 0, 255]
    assert shown[2].tolist() == [224, 224, 192, 200]
    with Image.open(io.BytesIO(confidence_map(np.array([[0.0, 0.5, 1.0]])))) as confidence:
        assert np.asarray(confidence)[0].tolist() == [0, 16, 31]


@pytest.mark.parametrize("damage", [b"no zip", b""])
def test_a_damaged_file_is_said(tmp_path, damage):
    (tmp_path / "images.zip").write_bytes(damage)
    with pytest.raises(InputError, match=r"images\.zip: damaged"):
        read_kept(tmp_path)


def test_a_damaged_image_is_left_out_alone(tmp_path):
    make_run(tmp_path, "model=unet", images=1)
    data = bytearray((tmp_path / "images.zip").read_bytes())
    at = data.index(b"\x89PNG")
    data[at + 20] ^= 255
    (tmp_path / "images.zip").write_bytes(data)
    assert set(read_kept(tmp_path).parts([0])[0]) == {"image", "prediction", "error", "confidence"}


def test_counts_of_other_images_are_damage(tmp_path):
    kept = KeptImages(1, NAMES, PALETTE)
    sample = an_image(0, (8, 8))
    kept.add(0, sample, [sample.mask % 4], [np.zeros((3, 2), np.int64)])
    kept.write(tmp_path)
    with pytest.raises(InputError, match="damaged"):
        read_kept(tmp_path)
    assert read_kept(tmp_path / "nowhere") is None
