"""Samples on one page: each image, and the same under the colours of its labels."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from segtrain.contracts import IGNORE_INDEX, Colour, Sample
from segtrain.viz.drawing import IGNORE_COLOUR, caption_height, overlay, write_caption
from segtrain.viz.outlines import labels_in
from segtrain.viz.sheet import headed

COLUMNS = 3
GAP = 4
SHARE = 0.55  # of the labels' colours in the overlays
LARGEST, SMALLEST = 400, 160  # longer sides of an image on the page


def draw_samples(
    samples: Sequence[Sample], class_names: Sequence[str], palette: Sequence[Colour], title: str = ""
) -> np.ndarray:
    """Rows of three samples below the title and the colours of the classes that they have (uint8 H×W×3).

    Large images are reduced and tiny ones enlarged, pixel by pixel.
    """
    panels = [_panel(sample, palette) for sample in samples]
    width = max(panel.width for panel in panels) + GAP
    height = max(panel.height for panel in panels) + GAP
    columns, rows = min(COLUMNS, len(panels)), -(-len(panels) // COLUMNS)
    page = Image.new("RGB", (columns * width, rows * height), "white")
    for i, panel in enumerate(panels):
        page.paste(panel, (i % COLUMNS * width, i // COLUMNS * height))
    present = {label for sample in samples for label in labels_in(sample.mask)}
    return headed(np.asarray(page), title, class_names, palette, present)


def _panel(sample: Sample, palette: Sequence[Colour]) -> Image.Image:
    """The image and its overlay side by side below their name."""
    height, width = sample.mask.shape[:2]
    factor = min(1, LARGEST / max(height, width)) * max(1, SMALLEST // max(height, width))
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    caption = caption_height(*size)
    panel = Image.new("RGB", (2 * size[0], size[1] + caption), "white")
    for i, image in enumerate((sample.rgb, _dotted(sample, palette))):
        way = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
        panel.paste(Image.fromarray(image).resize(size, way), (i * size[0], caption))
    write_caption(ImageDraw.Draw(panel), (2, 0), f"{sample.name}  {width} x {height}", caption)
    return panel


def _dotted(sample: Sample, palette: Sequence[Colour]) -> np.ndarray:
    """The overlay, where ignored pixels show the image through a grid of dots."""
    image = overlay(sample.rgb, sample.mask, palette, SHARE)
    ignored = sample.mask == IGNORE_INDEX
    if ignored.ndim == 3:
        ignored = ignored.all(-1)
    image[ignored] = sample.rgb[ignored]
    image[ignored & (np.indices(ignored.shape) % 5 == 0).all(0)] = IGNORE_COLOUR
    return image
