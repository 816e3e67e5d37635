import numpy as np
from PIL import Image

from segtrain.contracts import Sample
from segtrain.viz.drawing import (
    CAPTION_HEIGHT,
    IGNORE_COLOUR,
    colourise,
    confusion_figure,
    overlay,
    strip,
    trimap_figure,
    with_legend,
    write_figure,
)

PALETTE = ((0, 0, 0), (255, 0, 0))


def test_labels_get_their_colours_and_ignored_pixels_its_own():
    coloured = colourise(np.array([[0, 1, 255]], np.uint8), PALETTE)
    assert coloured.tolist() == [[[0, 0, 0], [255, 0, 0], list(IGNORE_COLOUR)]]


def test_a_strip_holds_input_label_prediction_and_the_crfs():
    labels = np.ones((30, 40), np.uint8)
    sample = Sample(np.full((30, 40, 3), 7, np.uint8), labels, "a")
    three, four = strip(sample, labels, None, PALETTE), strip(sample, labels, labels, PALETTE)
    assert three.shape == (30 + CAPTION_HEIGHT, 3 * 42 - 2, 3)
    assert four.shape == (30 + CAPTION_HEIGHT, 4 * 42 - 2, 3)
    assert (four[CAPTION_HEIGHT:, :40] == 7).all()
    assert (four[CAPTION_HEIGHT:, -40:] == (255, 0, 0)).all()


def test_the_confusion_matrix_is_drawn_in_percent_of_each_row():
    figure = confusion_figure([[3, 1], [0, 0]], ("a", "b"), "UNet on CamVid: run " + "x" * 50)
    assert [t.get_text() for t in figure.axes[0].texts] == ["75", "25"]
    lines = figure.axes[0].get_title().splitlines()
    assert "".join(lines).startswith("UNet on CamVid:")
    assert max(map(len, lines)) < 40


def test_captions_grow_with_their_panels():
    labels = np.zeros((512, 512), np.uint8)
    drawn = strip(Sample(np.zeros((512, 512, 3), np.uint8), labels, "a"), labels, None, PALETTE)
    assert drawn.shape[0] == 512 + 32
    letters = np.flatnonzero((drawn[:32] < 128).all(2).any(1))
    assert np.ptp(letters) > 16


def test_a_plot_is_written_in_the_formats_that_are_asked_for(tmp_path):
    figure = trimap_figure({"network": {"1": 0.5}}, "UNet")
    write_figure(figure, tmp_path / "trimap.png", 50, ["svg", "pdf"])
    assert ">UNet<" in (tmp_path / "trimap.svg").read_text()  # as letters
    assert (tmp_path / "trimap.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "trimap.png") as image:
        assert image.size == (300, 220)


def test_panels_are_reduced_to_what_a_page_shows():
    labels = np.zeros((1024, 2048), np.uint8)
    sample = Sample(np.zeros((1024, 2048, 3), np.uint8), labels, "a")
    drawn = strip(sample, labels, None, ((0, 0, 0), (255, 0, 0)))
    assert drawn.shape == (256 + 16, 3 * 514 - 2, 3)


def test_an_overlay_has_contours_and_leaves_ignored_pixels_and_the_background_clear():
    image, labels = np.full((9, 30, 3), 100, np.uint8), np.zeros((9, 30), np.uint8)
    labels[:, 10:20], labels[:, 20:] = 1, 255
    drawn = overlay(image, labels, PALETTE, 0.5, (0, 255))
    assert (drawn[:, :10] == 100).all()
    assert (drawn[:, 20:] == 100).all()
    assert (drawn[:, 12:18] == (178, 50, 50)).all()
    assert (drawn[:, 10] == (255, 0, 0)).all()
    assert (overlay(image, labels, PALETTE, 0.5)[:, :9] == 50).all()


def test_a_legend_has_columns_grows_with_the_image_and_may_be_empty():
    image = np.zeros((140, 50, 3), np.uint8)
    narrow, wide = (with_legend(image, list("ab" * n), [(255, 0, 0)] * 2 * n) for n in (4, 9))
    assert narrow.shape[0] == wide.shape[0] == 140
    assert wide.shape[1] - 50 == 2 * (narrow.shape[1] - 50)
    large = with_legend(np.zeros((960, 960, 3), np.uint8), ["a"], [(255, 0, 0)])
    reds = (large[:, 960:] == (255, 0, 0)).all(-1)
    assert reds.any(1).sum() > 30
    assert with_legend(image, [], []) is image
