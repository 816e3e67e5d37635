import numpy as np

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.viz.drawing import CAPTION_HEIGHT
from segtrain.viz.preview import COLUMNS, GAP, draw_samples
from segtrain.viz.sheet import LINE

NAMES, PALETTE = ("ground", "sky"), ((0, 0, 0), (0, 0, 200))


def sample(height, width, label):
    return Sample(np.full((height, width, 3), 100, np.uint8), np.full((height, width), label, np.uint8), "a")


def test_each_sample_stands_beside_its_overlay_in_rows_of_three():
    page = draw_samples([sample(200, 300, 1)] * 4, NAMES, PALETTE)
    head = page.shape[0] - 2 * (200 + CAPTION_HEIGHT + GAP)
    assert head == LINE + 4  # the legend
    assert page.shape[1] == COLUMNS * (600 + GAP)
    inside = page[head + CAPTION_HEIGHT : head + CAPTION_HEIGHT + 200]
    assert (inside[:, :300] == 100).all()
    assert (inside[:, 300:600] == [45, 45, 155]).all()  # 0.45 of the image, 0.55 of the colour


def test_ignored_shows_the_image():
    page = draw_samples([sample(200, 200, IGNORE_INDEX)], NAMES, PALETTE)
    ignored = page[LINE + 4 + CAPTION_HEIGHT :][:200, 200:400]
    assert 0.9 < (ignored == 100).all(2).mean() < 1


def test_images_of_any_size_fit():
    for size in ((1, 1), (3, 900), (2000, 1500)):
        page = draw_samples([sample(*size, 0), sample(50, 60, IGNORE_INDEX)], NAMES, PALETTE)
        assert page.dtype == np.uint8
        assert max(page.shape) < 2000
