"""`segexplain`: pages of networks, of all systems, and of trained ones."""

import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from segtrain import build_model, list_models
from segtrain.anatomy.effective import effective_field, effective_size
from segtrain.cli.explain import _model_name
from segtrain.commands.anatomy import anatomy_of
from segtrain.commands.explain.field_sections import stride_at
from segtrain.commands.explain.scene import Exhibit
from segtrain.commands.explain.skips import fcn_sections, unet_sections
from segtrain.commands.explain.streams import stream_sections
from segtrain.commands.explain.switches import switch_sections
from segtrain.commands.explain.undilated import undilated_sections
from segtrain.config.compose import compose_config, plain
from segtrain.data.datasets.shapes import Shapes
from segtrain.reports.family_tree import TreePaper, family_tree
from segtrain.reports.page import LARGEST
from tests.conftest import FAST, TINY

SMALL = ["width=0.0625", "size=[65,65]"]
BROWSED = ["fcn8s", "deeplabv2_vgg16", "pspnet50"]


def explained(run, *arguments):
    outcome = run("segexplain", *arguments)
    assert outcome.code == 0, outcome.err
    return outcome.folder / "explain.html", json.loads((outcome.folder / "explain.json").read_text())


def check_page(html: str):
    """What every page keeps: nothing is asked for, names are used once, no number was formatted wrongly."""
    assert len(html.encode()) < LARGEST
    assert not re.search(r"""(src|href)=["'](?!data:|#|[\w]+/explain.html)""", html)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert "nan" not in re.findall(r">(\w+)<", html)


def test_a_page_says_what_the_anatomy_is_and_its_bytes_repeat(run):
    page, data = explained(run, "model=deeplabv1", *SMALL)
    html = page.read_text()
    check_page(html)
    with torch.device("meta"):
        network = build_model("deeplabv1", num_classes=21, width=0.0625)
    anatomy = anatomy_of(network, (65, 65))
    assert data["parameters"] == anatomy.parameters
    assert data["multiply_adds"] == sum(layer["multiply_adds"] for layer in data["layers"])
    assert f"{anatomy.multiply_adds:,}" in html
    assert (data["receptive_field"], data["logits"]["stride"], data["logits"]["offset"]) == (435, 8, 0)
    assert data["recipes"]["deeplabv1_voc"]["departures"] == []
    assert 'href="#backbones/vgg_atrous.py-' in html
    again, _ = explained(run, "model=deeplabv1", *SMALL)
    assert again.read_bytes() == page.read_bytes()


def test_the_last_line_says_where_the_page_is(run):
    done = run("segexplain", "model=segnet_basic", *SMALL)
    assert done.out.splitlines()[-1] == f"page: {done.folder.name}/explain.html"


def test_a_shift_of_half_a_cell_is_said(run):
    _, data = explained(run, "model=dilatednet_frontend", *SMALL)
    assert "3.5 pixels further right and down (nearly half a cell)" in data["alignment"]


def test_the_contract_is_that_of_the_config_as_it_is_given(run):
    _, data = explained(run, "experiment=fcn32s_voc", "optimizer.lr=1e-9", *SMALL)
    found = data["recipes"]["fcn32s_voc"]["departures"]
    assert found[0] == "optimizer.lr 1e-09 (paper: 1e-10)"
    assert "starts from random weights (paper: trained weights)" in found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["size=[65,65]"], "model= is missing"),
        (["model=unet", "image=a.png"], "add ckpt=PATH"),
        (["model=unet", "size=[65]"], "give a height and a width"),
        (["experiment=fcn9s"], "no such recipe"),
    ],
)
def test_mistakes_end_in_one_line(run, arguments, words):
    outcome = run("segexplain", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_trained_network_is_explained_with_an_image(tiny, run):
    outcome = tiny("model=fcn16s")
    page, data = explained(run, f"ckpt={outcome.folder}", "device=cpu")
    html = page.read_text()
    check_page(html)
    assert data["model"] == "fcn16s"
    for anchor in ("prediction", "strides", "crf", "features", "field", "layers"):
        assert f'<section id="{anchor}">' in html
    assert html.count('data-stop="') == 7  # the image, and so many iterations
    missing = run("segexplain", f"ckpt={outcome.folder}", "image=none.png", "device=cpu")
    assert (missing.code, "no such file" in missing.err) == (2, True)


def test_the_option_of_a_run_is_known_by_its_last_checkpoint_else_by_its_config(tiny, tmp_path):
    run_folder = tiny().folder
    config = plain(compose_config("train", ["model=fcn8s_atonce", "data=shapes", "width=0.5"]))["model"]
    assert _model_name(str(run_folder / "checkpoints/best.ckpt"), config) == "fcn8s"
    assert _model_name(str(tmp_path), config) == "fcn8s_atonce"


@pytest.mark.parametrize(("name", "stride"), [("deeplabv3", 16), ("dilation8", 8), ("deeplabv2", 8)])
def test_the_cells_of_dilated_layers_have_the_networks_stride(name, stride):
    with torch.device("meta"):
        anatomy = anatomy_of(build_model(name, num_classes=7, width=0.125), (96, 96))
    dilated = next(layer for layer in anatomy.layers if layer.dilation > 1)
    assert stride_at(anatomy, dilated) == stride


def test_a_lesson_is_refused_by_name(run):
    outcome = run("segtrain", "lesson=fnc")
    assert outcome.code == 2
    assert "there are crf, dilation, fcn, unpooling" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crf", "dilation", "fcn", "unpooling"])
def test_a_lesson_ends_with_the_page(run, name):
    outcome = run("segtrain", f"lesson={name}", *TINY, *FAST)
    assert outcome.code == 0, outcome.err
    assert "the lesson's page: " in outcome.out
    check_page((outcome.folder / "explain.html").read_text())


def scene(name: str, **overrides) -> Exhibit:
    """An untrained network whose scores are no zeros, and an image of `shapes`."""
    torch.manual_seed(0)
    network = build_model(name, num_classes=7, width=1 / 16, **overrides).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    data = Shapes(size=64)
    sample = data.val[0]
    batch = torch.from_numpy(sample.image).permute(2, 0, 1)[None]
    return Exhibit(name, network, {}, batch, sample.image, sample.mask, data.class_names, data.palette)


def captions(sections):
    """The captions of all images of some sections."""
    return [caption for s in sections for b in s.blocks if b.kind == "images" for caption, _ in b.value[1]]


def test_the_last_stride_of_fcn_is_its_prediction():
    found = captions(fcn_sections(scene("fcn8s")))
    strides = [caption for caption in found if caption.startswith("FCN-")]
    assert [caption.split(":")[0] for caption in strides] == ["FCN-32s", "FCN-16s", "FCN-8s"]
    assert "changed" not in strides[-1]
    assert "changed" in strides[0]


def test_a_skip_that_is_off_changes_the_prediction_and_is_on_again_afterwards():
    one = scene("unet")
    before = one.labels()
    found = [caption for caption in captions(unet_sections(one)) if "changed" in caption]
    assert len(found) == 5  # all, and each of four
    assert not any(" 0.0 % changed" in caption for caption in found[:1])
    assert np.array_equal(one.labels(), before)
    assert unet_sections(scene("fcn8s")) == []


def test_unpooled_maps_are_three_quarters_zeros():
    found = captions(switch_sections(scene("segnet")))
    zeros = [int(re.search(r"(\d+) % zeros", caption)[1]) for caption in found if "zeros" in caption]
    assert len(zeros) == 5
    assert min(zeros) >= 75


def test_both_streams_take_part():
    found = captions(stream_sections(scene("frrn_a")))
    assert sum("residual stream: " in caption for caption in found) == 7
    assert any(caption.startswith("pooling stream alone") and "changed" in caption for caption in found)


def test_dilation_is_what_it_was_after_a_look_without():
    one = scene("deeplabv1")
    fc6 = one.network.backbone.fc6[0]
    before = one.labels()
    found = captions(undilated_sections(one))
    assert any(caption.startswith("dilation 1") and "changed" in caption for caption in found)
    assert (fc6.dilation, fc6.padding) == ((12, 12), (12, 12))
    assert np.array_equal(one.labels(), before)
    assert undilated_sections(scene("unet")) == []


def test_the_effective_field_lies_within_the_theoretical_one():
    network = scene("fcn32s").network
    field = effective_field(network, [torch.rand(1, 3, 480, 480) * 255])
    first, last = np.flatnonzero(field.max(1))[[0, -1]]
    assert last - first + 1 <= 436
    assert effective_size(field) < 436
    assert effective_size(np.ones((101, 101), np.float32), share=0.25) == 51


def test_children_stand_right_of_their_parents():
    svg = family_tree(
        [TreePaper("a", "A", 2015, []), TreePaper("b", "B", 2016, ["a"]), TreePaper("c", "C", 2016, ["a"])]
    )
    boxes = [tuple(map(float, found)) for found in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', svg)]
    assert boxes[0][0] < boxes[1][0] == boxes[2][0]
    assert boxes[1][1] != boxes[2][1]
    assert svg.count("<path") == 2


@pytest.mark.browser
@pytest.mark.parametrize("name", BROWSED)
def test_a_page_is_shown_without_a_fault(run, open_page, name):
    path, _ = explained(run, f"model={name}", *SMALL)
    for dark in (False, True):
        page = open_page(path, dark=dark)
        assert page.locator("#diagram svg rect").count() > 5
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    link = page.locator("#layers-table a").first
    link.click()
    assert page.evaluate("location.hash").startswith("#")
    plain = open_page(path, javascript=False)
    assert plain.locator("#layers-table tbody tr").count() > 10


@pytest.mark.browser
@pytest.mark.slow
def test_the_pages_of_all_systems(run, open_page):
    index, _ = explained(run, "model=all", *SMALL)
    found = sorted(index.parent.glob("*/explain.html"))
    extras = {"smp": "segmentation_models_pytorch", "transformers": "transformers"}
    absent = {name for name, module in extras.items() if find_spec(module) is None}
    assert {path.parent.name for path in found} == set(list_models()) - absent
    page = open_page(index)
    assert page.locator("#systems-table tbody tr").count() == len(found)
    for path in [index, *found]:
        check_page(path.read_text())
        open_page(path)
