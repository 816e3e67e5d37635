"""The dense CRF at work: labels iteration by iteration, and what each of its terms says."""

from __future__ import annotations

from typing import Any

import numpy as np

from segtrain.commands.build import build_crf
from segtrain.commands.explain.scene import Exhibit
from segtrain.reports.embed import Frame
from segtrain.reports.fields import heat_uri, signed_uri
from segtrain.reports.sections import Section, image_row, legend, paragraph, slider

ITERATIONS = (0, 1, 2, 3, 5, 10)
SMALLEST = 1e-6


def crf_sections(scene: Exhibit) -> list[Section]:
    """A slider over the iterations, each kernel alone, and the terms of one class."""
    refine: Any = build_crf(dict(scene.config))
    if refine is None:
        return []
    probabilities = scene.logits().softmax(0).cpu().numpy()

    def labels_of(**changes: Any) -> np.ndarray:
        return refine(scene.rgb, probabilities, **changes).argmax(0).astype(np.uint8)

    names = {i: "1 iteration" if i == 1 else f"{i} iterations" for i in ITERATIONS}
    by_iteration = {name: labels_of(iterations=i) for i, name in names.items()}
    frames = [Frame("image", scene.photo()[1])] + [
        Frame(scene.described(name, labels, by_iteration["0 iterations"]), scene.colours(labels))
        for name, labels in by_iteration.items()
    ]
    alone: dict[str, Any] = {
        "the network": by_iteration["0 iterations"],
        "positions alone": labels_of(bilateral=None),
        "positions and colours alone": labels_of(gaussian=None),
        "both": by_iteration["10 iterations"],
    }
    near, like = scene.config["dense_crf"]["gaussian"], scene.config["dense_crf"]["bilateral"]
    words = (
        f"Gaussian kernel: std {near['sxy']} pixels, weight {near['compat']}; bilateral kernel: std"
        f" {like['sxy']} pixels and {like['srgb']} grey levels, weight {like['compat']}."
    )
    blocks = [
        paragraph(words),
        slider("crf", "CRF", [frames], *scene.shown),
        legend(scene.class_names, scene.palette),
        scene.panels("After 10 iterations, by kernel.", alone, of="the network"),
        *_terms(scene, refine, probabilities),
    ]
    return [Section("crf", "The dense CRF", blocks)]


def _terms(scene: Exhibit, refine: Any, probabilities: np.ndarray) -> list[Any]:
    """The unary and the pairwise terms of the class whose area changes most."""
    after = refine(scene.rgb, probabilities, iterations=10).argmax(0)
    before = probabilities.argmax(0)
    classes = len(probabilities)
    changes = np.bincount(after.ravel(), minlength=classes) - np.bincount(before.ravel(), minlength=classes)
    index = int(np.abs(changes).argmax())
    unary = -np.log(np.maximum(probabilities[index], SMALLEST))
    shown = [scene.photo(), ("unary term, -log p: bright is improbable", heat_uri(unary / unary.max()))]
    pulls = {
        "pairwise, positions": {"bilateral": None},
        "pairwise, positions and colours": {"gaussian": None},
    }
    for name, without in pulls.items():
        shown.append(
            (
                f"{name}: red is for, blue against",
                signed_uri(_pull(scene, refine, probabilities, index, without)),
            )
        )
    title = scene.class_names[index]
    caption = f"The first iteration's terms of the class {title}, whose area changes most."
    return [image_row(caption, shown, *scene.shown)]


def _pull(
    scene: Exhibit, refine: Any, probabilities: np.ndarray, index: int, without: dict[str, None]
) -> np.ndarray:
    """What one kernel's first message says for a class against the mean of all, H×W."""
    once = refine(scene.rgb, probabilities, iterations=1, **without)
    message = np.log(np.maximum(once, SMALLEST)) - np.log(np.maximum(probabilities, SMALLEST))
    return message[index] - message.mean(0)
