"""What stands above a sheet of images."""

import numpy as np
import pytest
from PIL import ImageFont

from segtrain.viz.sheet import headed

RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.mark.parametrize("line", [24, 48])
def test_a_name_of_the_legend_ends_before_the_next_colour(line):
    sheet = headed(np.full((10, 900, 3), 255, np.uint8), "", ("a long name", "b"), (RED, BLUE), (0, 1), line)
    columns = np.flatnonzero((sheet == BLUE).all(2).any(0))
    name = ImageFont.load_default(line - 7).getlength("a long name")
    assert columns[0] >= 4 + line - 3 + name
