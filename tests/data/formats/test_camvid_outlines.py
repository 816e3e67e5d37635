"""CamVid's outlines, concave and of one pixel, in every format: masks equal to the tools' own."""

import cv2
import numpy as np
import pytest

from segtrain.data.datasets.camvid import CamVid
from tests.data.formats import exports, test_formats

IMAGES = 20
pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture
def camvid(real_data) -> CamVid:
    return CamVid(root=str(real_data / "camvid"))


@pytest.fixture
def scenes(camvid, monkeypatch) -> list[exports.Scene]:
    height, width = camvid.train[0].mask.shape
    for module in (exports, test_formats):
        monkeypatch.setattr(module, "HEIGHT", height)
        monkeypatch.setattr(module, "WIDTH", width)
    colours = dict(zip(camvid.class_names, camvid.palette, strict=True))
    monkeypatch.setattr(exports, "CLASSES", list(camvid.class_names))
    monkeypatch.setattr(exports, "COLOURS", colours)
    monkeypatch.setattr(exports, "HEX", {k: "#{:02x}{:02x}{:02x}".format(*c) for k, c in colours.items()})
    monkeypatch.setattr(exports, "SIZE", {"height": height, "width": width})
    samples = [camvid.train[18 * i] for i in range(IMAGES)]
    return [exports.Scene(s.name, outlines(s.mask, camvid.class_names)) for s in samples]


def outlines(mask: np.ndarray, names: tuple[str, ...]) -> list:
    """The polygons around each class's parts, the largest first."""
    found = []
    for label, name in enumerate(names):
        parts, _ = cv2.findContours(
            (mask == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        found += [(name, part[:, 0]) for part in parts if len(part) > 2 and np.ptp(part[:, 0], 0).min() > 0]
    found.sort(key=lambda one: -cv2.contourArea(one[1].astype(np.float32)))
    return [(name, part.astype(float).tolist()) for name, part in found]


@pytest.mark.parametrize("option", [name for name in exports.WRITERS if name != "roboflow"])
def test_masks_are_those_of_the_tool(tmp_path, scenes, camvid, option):
    exports.WRITERS[option](tmp_path, scenes)
    data = test_formats.build(option, tmp_path, overlap="order")
    found = test_formats.samples(data)
    assert len(found) == IMAGES
    for scene in scenes:
        expected = np.zeros_like(camvid.train[0].mask)
        for category, points in scene.polygons:
            expected[test_formats.TOOLS[option](points)] = data.class_names.index(category)
        assert (found[scene.name].mask == expected).mean() >= 0.999, scene.name
