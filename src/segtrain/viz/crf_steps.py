"""`segpredict ... crf=true steps=true`: the dense CRF at work, iteration by iteration."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from segtrain.files import inside
from segtrain.viz.drawing import CAPTION_HEIGHT, colourise, with_legend, write_image

ITERATIONS = (0, 1, 2, 5, 10)
COLUMNS, GAP = 3, 2


class Steps:
    """Draws what the CRF makes of the network's probabilities, below `folder`/steps.

    Args:
        crf: `dense_crf` with its parameters.
        class_names, palette: of the checkpoint.
        labels: of probabilities C×H×W, uint8 H×W.
    """

    def __init__(self, crf: Callable, folder: Path, class_names, palette, labels: Callable):
        self.crf, self.folder, self.class_names, self.palette = crf, folder, class_names, palette
        self.labels = labels

    def __call__(self, image: np.ndarray, name: str, probabilities: np.ndarray) -> None:
        """Writes steps/NAME.png of an image H×W×3 and probabilities C×H×W."""
        labels = [self.labels(self.crf(image, probabilities, iterations=i)) for i in ITERATIONS]
        drawing = with_legend(steps_image(image, labels, self.palette), self.class_names, self.palette)
        write_image(Image.fromarray(drawing), inside(self.folder / "steps", f"{name}.png"))


def steps_image(image: np.ndarray, labels: list[np.ndarray], palette) -> np.ndarray:
    """The image, and labels H×W after each of ITERATIONS with the share that changed, uint8 H'×W'×3."""
    panels = {"input": image, "network": colourise(labels[0], palette)}
    for i in range(1, len(ITERATIONS)):
        changed = 100 * np.mean(labels[i] != labels[i - 1])
        caption = f"{ITERATIONS[i]} iteration{'s' * (ITERATIONS[i] > 1)}: {changed:.1f} % changed"
        panels[caption] = colourise(labels[i], palette)
    height, width = image.shape[0] + CAPTION_HEIGHT, image.shape[1] + GAP
    rows = -(-len(panels) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * width - GAP, rows * height), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (caption, panel) in enumerate(panels.items()):
        left, top = i % COLUMNS * width, i // COLUMNS * height
        canvas.paste(Image.fromarray(panel), (left, top + CAPTION_HEIGHT))
        draw.text((left + 2, top + 1), caption, fill="black")
    return np.asarray(canvas)
