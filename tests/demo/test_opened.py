"""What the demo makes of an image and the page's controls, without the page."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segtrain.commands.demo import crf_of
from segtrain.crf import dense_crf
from segtrain.demo.opened import Controls, DemoModel, analyse_image, draw_prediction, scene_numbers
from segtrain.demo.page import Session, legend_html
from segtrain.errors import InputError

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
CRF = {
    "iterations": 3,
    "backend": "torch",
    "gaussian": {"sxy": 3, "compat": 3},
    "bilateral": {"sxy": 20, "srgb": 9, "compat": 5},
}


def read(path):
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read", do="give another") from error


def predict(image):
    """Class 1 on the left, class 2 on the right, rather sure."""
    probabilities = np.full((3, *image.shape[:2]), 0.1, np.float32)
    half = image.shape[1] // 2
    probabilities[1, :, :half] = probabilities[2, :, half:] = 0.8
    return probabilities


MODEL = DemoModel("a<b", predict, lambda p: p.argmax(0).astype(np.uint8), ("ground", "cat", "<dog>"), PALETTE)


@pytest.fixture
def path(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def opened(path, **bounds):
    return analyse_image(path, read, lambda image: image, [MODEL], **{"max_megapixels": 1} | bounds)


def test_an_overlay_has_its_share_of_the_colours_and_hidden_classes_none(path):
    scene = opened(path)
    drawn = draw_prediction(scene, 0, MODEL, Controls(share=0.5, hidden=frozenset({"<dog>"})))
    assert (drawn.image[:, 15:] == scene.rgb[:, 15:]).all()
    assert (drawn.image[:, :15] == np.round(0.5 * scene.rgb[:, :15] + [127.5, 0, 0])).all()
    assert drawn.shares == [0, 0.5, 0.5]
    assert drawn.confidence == pytest.approx(0.8, abs=1e-3)
    classes = draw_prediction(scene, 0, MODEL, Controls(view="classes")).image
    assert classes[0, 0].tolist() == [255, 0, 0]


def test_the_crf_is_segtrains_own_with_the_sliders_numbers(path):
    scene = opened(path)
    before = draw_prediction(scene, 0, MODEL, Controls())
    refined = scene.refined(0, CRF)
    assert np.abs(refined - dense_crf(scene.rgb, scene.refined(0, None), **CRF)).max() < 1e-6
    assert scene.refined(0, CRF) is refined  # another view computes nothing anew
    assert draw_prediction(scene, 0, MODEL, Controls(crf=CRF)).confidence > before.confidence


def test_an_image_that_is_too_large_or_none_is_refused_in_words(path, tmp_path):
    with pytest.raises(InputError, match=r"at most 0\.0001 megapixels, got 30×20"):
        opened(path, max_megapixels=0.0001)
    (tmp_path / "text.png").write_text("no image")
    session = Session([MODEL], opened, tmp_path, CRF)
    with pytest.raises(InputError, match="cannot be read"):
        opened(tmp_path / "text.png")
    controls = session.controls("overlay", 0.6, ["cat"], True, 3, 1, 2, 10, 5, 4)
    assert controls.hidden == {"ground", "<dog>"}
    assert controls.crf["bilateral"] == {"sxy": 10, "srgb": 5, "compat": 4}


def test_the_file_of_numbers_and_the_legend(path):
    scene = opened(path)
    drawn = draw_prediction(scene, 0, MODEL, Controls(crf=CRF))
    found = scene_numbers(scene, [drawn], [MODEL], Controls(crf=CRF))
    assert (found["image"], found["width"], found["height"]) == ("photo.png", 30, 20)
    assert found["crf"] == CRF
    assert [one["share"] for one in found["models"][0]["classes"]] == drawn.shares
    legend = legend_html(MODEL, drawn)
    assert "&lt;dog&gt;" in legend
    assert "<dog>" not in legend


def test_the_sliders_begin_at_the_checkpoints_parameters():
    assert crf_of({"iterations": 5, "gaussian": None, "bilateral": CRF["bilateral"]})["iterations"] == 5
    assert crf_of({"bilateral": CRF["bilateral"]})["bilateral"] == CRF["bilateral"]
    assert crf_of({"bilateral": [CRF["bilateral"]] * 2})["bilateral"]["sxy"] == 80
    assert crf_of({"gaussian": {"sxy": [3, 4], "compat": 3}})["gaussian"]["sxy"] == 3


def test_names_of_models_are_their_runs():
    from segtrain.commands.demo import _name

    assert _name("outputs/unet_shapes/2026-01-31_12-00-00/checkpoints/best.ckpt").startswith("unet_shapes/")
    assert Path(_name("run")).name == "run"
