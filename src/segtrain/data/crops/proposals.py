"""Windows as proposals give them instead of a split's images: the second stage of DeconvNet.

"Learning Deconvolution Network for Semantic Segmentation", Noh, Hong and Han, ICCV 2015. By which overlap
the authors chose proposals was not found: the threshold is ours.
"""

from collections.abc import Callable

import numpy as np
from torch.utils.data import Dataset

from segtrain.contracts import Sample, Split
from segtrain.data.crops.annotated import Annotated, Object, find_objects
from segtrain.data.crops.boxes import Box, grid_boxes, read_boxes
from segtrain.data.crops.windows import check_context, cut
from segtrain.errors import InputError

SCALES = (1.0, 0.75, 0.5, 0.35, 0.25)  # of the windows that stand in for proposals


class Proposals(Dataset[Sample]):
    """A window around each proposal that overlaps an object, with all labels in it.

    Args:
        images: a split of any data set; all of its masks are read once (`find_objects`).
        boxes: a CSV of proposals (`read_boxes`), such as edge boxes; None takes windows of five scales.
        overlap: least intersection over union of the proposal and an object's tight box.
        context: the sides of the window over the proposal's.
        balance: repeats the proposals of rare classes until each class has about as many as the
            commonest; a proposal is of the class of the object that it overlaps most.
        min_area: pixels of an object; smaller ones are left out.

    Raises:
        InputError: the file of boxes is faulty or leaves an image with objects out, no proposal
            overlaps an object, or an argument is out of its range.
    """

    def __init__(
        self,
        images: Split,
        *,
        boxes: str | None = None,
        overlap: float = 0.5,
        context: float = 1.2,
        balance: bool = True,
        min_area: int = 100,
    ):
        check_context(context)
        if not 0 < overlap <= 1:
            raise InputError(
                f"crops.overlap must be above 0 and at most 1, got {overlap}", do="0.5 is the default"
            )
        self.images, self.context = images, context
        found = find_objects(images, min_area)
        proposals = _proposals(found, boxes)
        windows, classes_of_windows = [], []
        for i, image in enumerate(found):
            if image.objects:
                kept, classes = overlapping(proposals(image), image.objects, overlap)
                windows.append(np.insert(kept, 0, i, axis=1))
                classes_of_windows.append(classes)
        # An array, since the paper's 2.7 million as objects would fill every loader's memory.
        self.windows, labels = np.concatenate(windows), np.concatenate(classes_of_windows)
        if not len(labels):
            raise InputError(
                f"crops: no proposal overlaps an object by crops.overlap={overlap}", do="lower it"
            )
        if balance:
            counts = np.bincount(labels)
            repeats = np.round(counts.max() / counts[labels]).astype(int)
            self.windows = np.repeat(self.windows, repeats, axis=0)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        place, *box = self.windows[index].tolist()
        return cut(self.images[place], Box(*box).extended(self.context))


def overlapping(boxes: list[Box], objects: list[Object], least: float) -> tuple[np.ndarray, np.ndarray]:
    """The boxes (int32 N×4) that overlap an object, and the class of the one they overlap most."""
    candidates = np.array(boxes, np.int32).reshape(-1, 4)
    start, side = candidates[:, None, :2], candidates[:, None, 2:]
    tight = np.array([one.box for one in objects], np.int32)
    first, last = np.maximum(start, tight[:, :2]), np.minimum(start + side, tight[:, :2] + tight[:, 2:])
    common = (last - first).clip(min=0).prod(2)
    union = side.prod(2) + tight[:, 2:].prod(1) - common
    iou = common / union  # boxes × objects
    kept = iou.max(1) >= least
    return candidates[kept], np.array([one.label for one in objects])[iou.argmax(1)[kept]]


def _proposals(images: list[Annotated], path: str | None) -> Callable[[Annotated], list[Box]]:
    """What gives an image's boxes. Raises InputError where the file has none of an image."""
    if path is None:
        return lambda image: grid_boxes(image.height, image.width, SCALES)
    boxes = read_boxes(path)
    missing = [image.name for image in images if image.objects and image.name not in boxes]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"crops.boxes={path} must have a box for each image, got none for {missing[0]}{more}",
            do="add their proposals",
        )
    return lambda image: boxes[image.name]
