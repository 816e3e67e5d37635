"""The same validation images across models: which are shown, in what order, and as which layers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from segtrain.reports.differences import Group
from segtrain.reports.embed import Frame, as_uri
from segtrain.reports.kept import Kept
from segtrain.seeds import rng_for

BUDGET = 6_500_000  # bytes of all images: a third more as text of the page
SHOWN = 192  # pixels of the longer side at least: small images are enlarged
OF_EACH = 12  # images of each order
ORDERS = {"Differ": "runs differ most", "Worst": "worst", "Best": "best", "Random": "random"}
CAPTIONS = ("image", "label", "prediction", "error", "confidence")


class Card(NamedTuple):
    """An image of the page.

    Attributes:
        name: its file's; `number`: its place in the split.
        ranks: its place in each of ORDERS that it is in.
        width, height: at which it is shown, pixels.
        shared: the styles of its image and label, by the class that the frames name.
        cells: of each model its label, the image's mean IoU, and the frames.
    """

    name: str
    number: int
    ranks: dict[str, int]
    width: int
    height: int
    shared: dict[str, str]
    cells: list[tuple[str, float | None, list[Frame]]]


class Gallery(NamedTuple):
    """The cards, and what a legend needs."""

    cards: list[Card]
    captions: tuple[str, ...]
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    notes: list[str]


def image_ious(kept: Kept) -> np.ndarray:
    """Each image's mean IoU of the final prediction, float N, over classes that occur in it; NaN for none."""
    correct, target, predicted = kept.counts[-1].transpose(1, 0, 2)
    union = target + predicted - correct
    with np.errstate(invalid="ignore"):
        return np.where(union > 0, correct / np.maximum(union, 1), 0).sum(1) / np.where(
            (union > 0).any(1), (union > 0).sum(1), np.nan
        )


def orders(ious: np.ndarray, candidates: Sequence[int], seed: int) -> dict[str, list[int]]:
    """The images of each of ORDERS, at most OF_EACH.

    Args:
        ious: float M×N, of each model and image; NaN counts as alike.
        candidates: the images that can be shown.
        seed: of the random ones.
    """
    chosen = [i for i in candidates if not np.isnan(ious[:, i]).any()] or list(candidates)
    means = {i: float(np.nan_to_num(ious[:, i]).mean()) for i in chosen}
    spread = {i: float(np.ptp(np.nan_to_num(ious[:, i]))) for i in chosen}
    found = {
        "Differ": sorted(chosen, key=lambda i: (-spread[i], i)) if len(ious) > 1 else [],
        "Worst": sorted(chosen, key=lambda i: (means[i], i)),
        "Best": sorted(chosen, key=lambda i: (-means[i], i)),
        "Random": [chosen[k] for k in rng_for(seed, len(chosen)).permutation(len(chosen))],
    }
    return {name: images[:OF_EACH] for name, images in found.items() if images}


def gallery(groups: Sequence[Group], *, seed: int = 0, budget: int = BUDGET) -> Gallery | None:
    """Chooses images that all models have kept, of each model the best seed's.

    Args:
        groups: the models.
        seed: of the random order.
        budget: bytes of all images; what would go beyond is left out.

    Returns:
        The cards; None where no two images can be put side by side.
    """
    best = [max(group.runs, key=lambda run: run.metrics.get("mean_iou") or 0) for group in groups]
    first = next((run.kept for run in best if run.kept and run.kept.kept), None)
    if first is None:
        return None
    have = [
        (group.label, run.kept)
        for group, run in zip(groups, best, strict=True)
        if run.kept and run.kept.names == first.names and run.kept.class_names == first.class_names
    ]
    notes = []
    if len(have) < len(groups):
        notes.append(f"{len(groups) - len(have)} of {len(groups)} models kept no images, or others.")
    common = sorted(set.intersection(*(set(kept.kept) for _, kept in have)))
    if not common:
        return None
    ious = np.stack([image_ious(kept) for _, kept in have])
    by_order = orders(ious, common, seed)
    cards, left_out = _cards(have, ious, by_order, budget)
    if left_out:
        notes.append(f"{left_out} more images would make the page too large.")
    return Gallery(cards, CAPTIONS, first.class_names, first.palette, notes)


def _cards(
    have: list[tuple[str, Kept]], ious: np.ndarray, by_order: dict[str, list[int]], budget: int
) -> tuple[list[Card], int]:
    """Adds the images in turn of all orders, as long as they fit."""
    longest = max(map(len, by_order.values()))
    turn = [images[k] for k in range(longest) for images in by_order.values() if k < len(images)]
    cards: list[Card] = []
    wanted = list(dict.fromkeys(turn))
    for count, i in enumerate(wanted):
        parts = [kept.parts([i])[i] for _, kept in have]
        size = sum(
            len(data) for part in parts for name, data in part.items() if name not in ("image", "mask")
        )
        size += sum(len(parts[0].get(name, b"")) for name in ("image", "mask"))
        if size > budget and cards:
            return cards, len(wanted) - count
        budget -= size
        ranks = {name: images.index(i) for name, images in by_order.items() if i in images}
        if card := _card(i, have, ious, parts, ranks):
            cards.append(card)
    return cards, 0


def _card(
    i: int,
    have: list[tuple[str, Kept]],
    ious: np.ndarray,
    parts: list[dict[str, bytes]],
    ranks: dict[str, int],
) -> Card | None:
    if not {"image", "mask"} <= parts[0].keys():
        return None
    try:
        with Image.open(io.BytesIO(parts[0]["image"])) as image:
            width, height = (round(side * max(SHOWN / max(image.size), 1)) for side in image.size)
    except OSError:
        return None
    shared = {
        f"image-{i}": as_uri(parts[0]["image"], "image/jpeg"),
        f"mask-{i}": as_uri(parts[0]["mask"], "image/png"),
    }
    cells = []
    for (label, _), part, iou in zip(have, parts, ious[:, i], strict=True):
        final = part.get("with_crf", part.get("prediction", b""))
        frames = [
            Frame("image", shared=f"image-{i}"),
            Frame("label", shared=f"mask-{i}"),
            Frame("prediction", as_uri(final, "image/png")),
            Frame("error", as_uri(part.get("error", b""), "image/png"), f"image-{i}"),
        ]
        if "confidence" in part:
            frames.append(Frame("confidence", as_uri(part["confidence"], "image/png")))
        else:
            frames.append(Frame("confidence (not kept)", shared=f"image-{i} dim"))
        cells.append((label, None if np.isnan(iou) else float(iou), frames))
    name = have[0][1].names[i]
    return Card(name, i, ranks, width, height, shared, cells)
