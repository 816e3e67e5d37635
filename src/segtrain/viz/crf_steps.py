"""`segpredict ... crf=true steps=true`: the dense CRF at work, iteration by iteration."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from segtrain.contracts import Colour
from segtrain.files import inside
from segtrain.viz.drawing import caption_height, colourise, write_caption, write_image
from segtrain.viz.outlines import labels_in
from segtrain.viz.sheet import headed

ITERATIONS = (0, 1, 2, 5, 10)
COLUMNS, GAP = 3, 2


class Steps:
    """Draws what the CRF makes of the network's probabilities, below `folder`/steps.

    Args:
        crf: `dense_crf` with its parameters.
        class_names, palette: of the checkpoint.
        labels: of probabilities C×H×W, uint8 H×W.
        title: the model and its run.
    """

    def __init__(
        self,
        crf: Callable,
        folder: Path,
        class_names: Sequence[str],
        palette: Sequence[Colour],
        labels: Callable,
        title: str = "",
    ):
        self.crf, self.folder, self.class_names, self.palette = crf, folder, class_names, palette
        self.labels, self.title = labels, title

    def __call__(self, image: np.ndarray, name: str, probabilities: np.ndarray) -> None:
        """Writes steps/NAME.png of an image H×W×3 and probabilities C×H×W."""
        labels = [self.labels(self.crf(image, probabilities, iterations=i)) for i in ITERATIONS]
        shown = {label for each in labels for label in labels_in(each)}
        sheet = steps_image(image, labels, self.palette)
        title = f"the dense CRF on {name}: {self.title}"
        drawing = headed(sheet, title, self.class_names, self.palette, shown)
        write_image(Image.fromarray(drawing), inside(self.folder / "steps", f"{name}.png"))


def steps_image(image: np.ndarray, labels: list[np.ndarray], palette) -> np.ndarray:
    """The image, and labels H×W after each of ITERATIONS with the share that changed, uint8 H'×W'×3."""
    panels = {"input": image, "network": colourise(labels[0], palette)}
    for i in range(1, len(ITERATIONS)):
        changed = 100 * np.mean(labels[i] != labels[i - 1])
        caption = f"{ITERATIONS[i]} iteration{'s' * (ITERATIONS[i] > 1)}: {changed:.1f} % changed"
        panels[caption] = colourise(labels[i], palette)
    caption_space = caption_height(*image.shape[:2])
    height, width = image.shape[0] + caption_space, image.shape[1] + GAP
    rows = -(-len(panels) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * width - GAP, rows * height), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (caption, panel) in enumerate(panels.items()):
        left, top = i % COLUMNS * width, i // COLUMNS * height
        canvas.paste(Image.fromarray(panel), (left, top + caption_space))
        write_caption(draw, (left + 2, top), caption, caption_space)
    return np.asarray(canvas)
