"""A page with one of everything that `macros.html` has."""

from pathlib import Path

import numpy as np

from segtrain.reports import page as pages
from segtrain.reports.embed import Frame, labels_uri, photo_uri
from segtrain.reports.plot import plot
from segtrain.reports.tables import Cell, PageTable

TEMPLATE = """{% extends "base.html" %}
{% import "macros.html" as ui %}
{% block style %}.photo { background-image: url({{ photo }}) }{% endblock %}
{% block nav %}{{ ui.nav([("one", "Numbers"), ("two", "Images")]) }}{% endblock %}
{% block main %}
{% call ui.section("one", "Numbers") %}
{{ ui.table(table) }}
<div class="plots">{{ ui.plot(curves) }}</div>
{% endcall %}
{% call ui.section("two", "Images") %}
{{ ui.slider("layers", "Shown", ["image", "label"]) }}
{{ ui.frames("layers", "a.png", 64, 48, list) }}
{{ ui.legend(["sky", "<road>"], palette) }}
{% endcall %}
{% endblock %}
"""
PALETTE = ((0, 114, 178), (213, 94, 0))


def figure():
    from matplotlib.figure import Figure

    made = Figure(figsize=(3.4, 2.2))
    axes = made.subplots()
    axes.plot([0, 10, 20], [0.25, 0.5, 0.75], label="fcn8s")
    axes.plot([0, 10, 20], [0.1, 0.2, 0.3], label="unet")
    axes.set(xlabel="step", ylabel="mean IoU")
    return made


def table():
    rows = [
        [Cell("fcn8s"), Cell("61.2", 0.6123456789012345, "± 0.5", best=True, dots=(0.2, 0.9))],
        [Cell("<b>unet</b>"), Cell("9.5", 0.095)],
        [Cell("fcn32s"), Cell("-")],
    ]
    return PageTable("runs", "All runs.", ["run", "mean IoU %"], [False, True], rows)


def context():
    photo = np.arange(64 * 48 * 3, dtype=np.uint32).reshape(48, 64, 3) % 251
    labels = np.zeros((48, 64), np.uint8)
    labels[:, 32:], labels[:4] = 1, 255
    frames = [Frame("image", shared="photo"), Frame("label", labels_uri(labels, PALETTE))]
    shown = {"photo": photo_uri(photo.astype(np.uint8)), "list": frames, "palette": PALETTE, "table": table()}
    return shown | {"curves": plot("curves", "Mean IoU of each run.", figure)}


def sample_page(folder: Path) -> Path:
    """The page, as a file."""
    template = pages._environment().from_string(TEMPLATE)
    html = template.render({"title": "A <page>", **context()})
    pages.write_page(folder / "page.html", html)
    return folder / "page.html"
