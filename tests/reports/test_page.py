"""The frame of all pages, as text and in a browser."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from segtrain.reports.embed import labels_uri
from segtrain.reports.page import LARGEST
from tests.reports.samples import PALETTE, sample_page


def test_the_same_input_gives_the_same_bytes_and_nothing_is_asked_for(tmp_path):
    first = sample_page(tmp_path / "a").read_bytes()
    assert first == sample_page(tmp_path / "b").read_bytes()
    assert len(first) < LARGEST
    text = first.decode()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "@import" not in text
    assert text.count('id="curves"') == 1
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_what_a_page_is_given_is_text(tmp_path):
    text = sample_page(tmp_path).read_text()
    assert "&lt;b&gt;unet&lt;/b&gt;" in text
    assert "<b>unet" not in text
    assert "&lt;road&gt;" in text


def test_labels_keep_their_colours_when_they_get_smaller():
    labels = np.repeat(np.array([[0, 1, 255]], np.uint8), 30, axis=0).repeat(20, axis=1)
    uri = labels_uri(labels, PALETTE, longest=20)
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.size == (20, 10)
        assert {colour for _, colour in image.convert("RGB").getcolors()} == {*PALETTE, (224, 224, 192)}


@pytest.mark.browser
def test_a_title_sorts_its_column_by_whole_numbers_also_with_the_keyboard(tmp_path, open_page):
    page = open_page(sample_page(tmp_path))
    names = lambda: page.locator("#runs tbody td:first-child").all_text_contents()  # noqa: E731
    assert names() == ["fcn8s", "<b>unet</b>", "fcn32s"]
    button = page.get_by_role("button", name="mean IoU %")
    button.focus()
    page.keyboard.press("Enter")
    assert names() == ["fcn8s", "<b>unet</b>", "fcn32s"]
    assert page.locator("#runs th").nth(1).get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert names() == ["<b>unet</b>", "fcn8s", "fcn32s"]  # what has no value comes last
    cell = page.locator("#runs td[data-value]").last
    assert cell.get_attribute("data-value") == "0.6123456789012345"


@pytest.mark.browser
def test_a_slider_fades_between_frames(tmp_path, open_page):
    page = open_page(sample_page(tmp_path))
    label = page.locator(".frame").nth(1)
    assert "off" in label.get_attribute("class")
    page.locator("#slider-layers").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert float(label.evaluate("e => getComputedStyle(e).opacity")) == 0.5
    page.get_by_role("button", name="label").click()
    assert label.evaluate("e => getComputedStyle(e).opacity") == "1"
    assert "off" in page.locator(".frame").nth(0).get_attribute("class")


@pytest.mark.browser
def test_a_plot_shows_the_values_under_the_pointer_and_on_the_arrow_keys(tmp_path, open_page):
    page = open_page(sample_page(tmp_path))
    line = page.locator("#curves .series").first.bounding_box()
    page.mouse.move(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2)
    assert page.locator("#tip").text_content().split("\n") == ["fcn8s", "step 10", "mean IoU 0.5"]
    page.locator("#curves").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.locator("#tip").text_content().split("\n") == ["unet", "step 0", "mean IoU 0.1"]
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


@pytest.mark.browser
def test_a_page_is_readable_without_javascript_and_in_the_dark(tmp_path, open_page):
    plain = open_page(sample_page(tmp_path), javascript=False, dark=True)
    assert plain.locator(".frame").nth(1).is_visible()
    assert plain.locator(".slider").is_hidden()
    assert plain.locator("#runs td").first.text_content() == "fcn8s"
    letters = plain.locator("#curves svg text").first
    assert letters.evaluate("e => getComputedStyle(e).fill") == "rgb(231, 233, 236)"
