"""The streets of README's image."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from scripts.street import layout
from scripts.street.__main__ import SHOWN
from scripts.street.scene import draw_scene
from segtrain.data.datasets.camvid import COLOURS


@pytest.fixture(scope="module")
def street():
    return draw_scene(SHOWN)


def test_the_street_that_is_shown_has_every_class_where_it_belongs(street):
    image, mask = street
    assert (image.shape, image.dtype) == ((360, 480, 3), np.uint8)
    assert np.unique(mask).tolist() == list(range(len(COLOURS)))
    sky, road = (list(COLOURS).index(name) for name in ("Sky", "Road"))
    assert np.mean(mask[300:, 200:280] == road) > 0.95
    rows = {label: np.nonzero(mask == label)[0].mean() for label in (sky, road)}
    assert rows[sky] < 120 < 240 < rows[road]


def test_a_street_is_a_function_of_its_seed(street):
    assert (draw_scene(SHOWN)[0] == street[0]).all()


def test_the_image_has_four_panels_and_a_legend(street, monkeypatch):
    image, mask = street
    model = nn.Module()
    model.class_names, model.palette = tuple(COLOURS), tuple(COLOURS.values())
    monkeypatch.setattr(layout, "predict", lambda model, image: SimpleNamespace(labels=mask))
    drawn = layout.draw_layout(model, image, mask, 0.8)
    assert isinstance(drawn, Image.Image)
    pixels = np.asarray(drawn)[layout.TITLE :]
    assert (pixels[:360, :480] == image).all()
    right = pixels[:360, 480 + layout.GAP :][:, :480]
    lower = pixels[360 + layout.CAPTION :][:360, :480]
    assert (right == lower).all()  # the prediction is the mask
    legend = pixels[:, -layout.LEGEND :].reshape(-1, 3)
    assert all((legend == colour).all(1).sum() > 300 for colour in COLOURS.values())
