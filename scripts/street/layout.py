"""Image, mask, prediction and overlay of a street beside the classes' colours."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from segtrain import predict
from segtrain.viz.drawing import colourise, overlay

FONTS = Path(plt.__file__).parent / "mpl-data/fonts/ttf"
TITLE, CAPTION, GAP, LEGEND = 46, 30, 10, 170  # pixels


def draw_layout(model: nn.Module, image: np.ndarray, mask: np.ndarray, mean_iou: float) -> Image.Image:
    """Lays out what a model of `load_model` predicts.

    Args:
        model: with `class_names` and `palette`.
        image: uint8 H×W×3.
        mask: uint8 H×W.
        mean_iou: of the run, for the title.
    """
    labels = predict(model, image).labels
    right = 100 * np.mean(labels == mask)
    panels = {
        "image": image,
        "mask": colourise(mask, model.palette),
        f"prediction: {right:.1f} % of the pixels right": colourise(labels, model.palette),
        "overlay with contours": overlay(image, labels, model.palette, 0.45),
    }
    height, width = mask.shape
    size = 2 * width + 2 * GAP + LEGEND, TITLE + 2 * (height + CAPTION)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    bold, plain = (ImageFont.truetype(str(FONTS / f"DejaVuSans{kind}.ttf"), 17) for kind in ("-Bold", ""))
    title = f"U-Net on streets that segtrain draws: mean IoU {100 * mean_iou:.1f} % on 30 unseen ones"
    draw.text((2, TITLE / 2), title, fill="black", font=bold.font_variant(size=21), anchor="lm")
    for i, (caption, panel) in enumerate(panels.items()):
        left, top = i % 2 * (width + GAP), TITLE + i // 2 * (height + CAPTION)
        canvas.paste(Image.fromarray(panel), (left, top))
        draw.text(
            (left + 2, top + height + CAPTION / 2 - 2), caption, fill="#333333", font=plain, anchor="lm"
        )
    row = 34
    for i, (name, colour) in enumerate(zip(model.class_names, model.palette, strict=True)):
        left, middle = 2 * (width + GAP), TITLE + (i + 0.5) * row
        draw.rounded_rectangle((left, middle - 12, left + 26, middle + 12), 4, tuple(colour), "#444444")
        draw.text((left + 36, middle), name, fill="black", font=plain, anchor="lm")
    return canvas
