"""The sheet of validation images."""

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.viz.drawing import IGNORE_COLOUR
from segtrain.viz.val_batch import LINE, SIDE, draw_sheet, sheet_image

NAMES, PALETTE = ("ground", "disc", "ring"), ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def image(height, width, label, name="a"):
    mask = np.full((height, width), label, np.uint8)
    return Sample(np.full((height, width, 3), 77, np.uint8), mask, name)


def test_panels_have_one_size_in_their_order_and_the_colours_of_the_classes():
    sample = image(30, 60, 1)
    drawn = sheet_image(sample, np.full((30, 60), 2, np.uint8), np.zeros((30, 60), np.uint8), PALETTE)
    assert list(drawn.panels) == ["image", "mask", "prediction", "with CRF"]
    assert {panel.shape for panel in drawn.panels.values()} == {(SIDE // 2, SIDE, 3)}
    colours = [np.unique(panel.reshape(-1, 3), axis=0).tolist() for panel in drawn.panels.values()]
    assert colours == [[[77] * 3], [[255, 0, 0]], [[0, 255, 0]], [[0, 0, 0]]]
    assert drawn.labels == {0, 1, 2}


def test_the_legend_above_has_the_classes_that_are_shown():
    drawn = sheet_image(image(20, 20, IGNORE_INDEX), np.full((20, 20), 2, np.uint8), None, PALETTE)
    head = draw_sheet([drawn], "run", NAMES, PALETTE)[: 2 * LINE + 4]
    counts = [(head == colour).all(2).sum() for colour in (*PALETTE[1:], IGNORE_COLOUR)]
    assert counts[0] == 0
    assert min(counts[1:]) > 100
    assert (head[:, -200:] == 255).all()


def test_every_image_is_on_the_sheet_whatever_its_size_and_the_length_of_its_name():
    sizes = [(20, 40), (100, 10), (700, 500), (1, 1), (30, 30)]
    samples = [image(*size, 1, "folder/" + "long" * 100) for size in sizes]
    images = [sheet_image(sample, sample.mask, None, PALETTE) for sample in samples]
    sheet = draw_sheet(images, "run, step 7", NAMES, PALETTE)
    red = (sheet == (255, 0, 0)).all(2).sum()
    panels = sum(2 * np.prod(drawn.panels["mask"].shape[:2]) for drawn in images)  # mask and prediction
    assert panels <= red < panels + 2000  # and the legend's
