"""Plots of a page."""

import json

from segtrain.reports.plot import INK, plot
from tests.reports.samples import figure


def test_a_plot_has_the_pages_colours_and_the_values_of_its_series():
    made = plot("curves", "Mean IoU.", figure)
    assert INK not in made.svg
    assert "currentColor" in made.svg
    found = json.loads(made.hover)
    assert [series["label"] for series in found["series"]] == ["fcn8s", "unet"]
    assert found["series"][0]["y"] == [0.25, 0.5, 0.75]
    assert found["axes"][0]["names"] == ["step", "mean IoU"]
    left, top, right, bottom = found["axes"][0]["box"]
    assert 0 < left < right < 72 * 3.4
    assert 0 < top < bottom < 72 * 2.2


def test_a_plot_is_written_without_a_date(tmp_path):
    for folder in ("a", "b"):
        plot("curves", "", figure).write(tmp_path / folder)
    for name in ("curves.svg", "curves.pdf"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert b"<text" in (tmp_path / "a/curves.svg").read_bytes()
