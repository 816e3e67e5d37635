"""The colours of data without a palette: everybody distinguishes them."""

import numpy as np
import pytest

from segtrain.data.datasets.palettes import OKABE_ITO, okabe_ito
from segtrain.data.datasets.voc import voc_palette
from segtrain.viz.drawing import IGNORE_COLOUR

# What people see who lack the receptors for red or green: of linear RGB; Machado, Oliveira and Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.
VISION = {
    "all colours": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
WHITE = (0.95047, 1.0, 1.08883)  # D65


def closest(colours, vision) -> float:
    """The least distance of two colours in CIE Lab (1976), as somebody sees them."""
    stored = np.array(colours) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.transpose(vision)).clip(0, 1) @ np.transpose(TO_XYZ) / WHITE
    x, y, z = np.where(seen > 216 / 24389, np.cbrt(seen), (24389 / 27 * seen + 16) / 116).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return float(distances[~np.eye(len(lab), dtype=bool)].min())


@pytest.mark.parametrize("vision", VISION.values(), ids=VISION)
def test_thirteen_classes_the_background_and_ignored_pixels_can_be_distinguished(vision):
    colours = okabe_ito(["background", *map(str, range(len(OKABE_ITO)))])
    assert closest([*colours, IGNORE_COLOUR], vision) > 16


def test_vocs_green_and_olive_cannot():
    assert closest(voc_palette(4), VISION["protanopia"]) < 4
    assert closest([(0, 0, 0), (255, 255, 255)], VISION["all colours"]) == pytest.approx(100, abs=0.01)


def test_the_background_is_black_and_more_classes_are_shades():
    colours = okabe_ito(("background", *map(str, range(30))))
    assert colours[0] == (0, 0, 0)
    assert len(set(colours)) == 31
