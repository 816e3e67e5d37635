"""Images as they are given from Python."""

import numpy as np
import pytest
from PIL import Image

from segtrain.errors import InputError
from segtrain.evaluation.prediction import sample_of
from segtrain.input_spec import RGB8

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


def read(path):
    raise AssertionError(f"{path} is no path")


def test_a_grey_array_is_rgb_as_an_image_of_it():
    drawn = sample_of(Image.fromarray(GREY), RGB8, read)
    given = sample_of(GREY, RGB8, read)
    assert (given.image == drawn.image).all()
    assert given.image.shape == (3, 4, 3)


@pytest.mark.parametrize(
    "wrong", [GREY / 255, GREY[None], np.zeros((0, 4, 3), np.uint8), np.zeros((0, 0), np.uint8)]
)
def test_another_kind_of_array_and_one_without_pixels_are_refused(wrong):
    with pytest.raises(InputError, match="image must be uint8 H×W×3 RGB, got"):
        sample_of(wrong, RGB8, read)
