"""Windows of a training split instead of its images: the two stages of DeconvNet.

"Learning Deconvolution Network for Semantic Segmentation", Noh, Hong and Han, ICCV 2015: the
network learns windows around single objects first, and then windows as proposals give them.
Padding follows the released window_seg_data_layer.cpp: black in the image, ignored in the mask.
How many windows the authors took of an object, and by which overlap they chose proposals, was not
found: here each object and each proposal gives one, and the threshold is ours.
"""

from collections.abc import Callable

import numpy as np
from torch.utils.data import Dataset

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.data.crops.boxes import Box, grid_boxes, read_boxes
from segtrain.data.crops.objects import (
    BACKGROUND,
    Annotated,
    Object,
    find_objects,
    object_pixels,
    read_instances,
)
from segtrain.errors import InputError

SCALES = (1.0, 0.75, 0.5, 0.35, 0.25)  # of the windows that stand in for proposals


class ObjectCrops(Dataset):
    """Stage 1: a window around each object; the object keeps its label, ignored pixels stay ignored, and all
    else is background (0).

    Args:
        images: a split of any data set; all of its masks are read once (`find_objects`).
        context: the sides of the window over those of the object's tight box.
        min_area: pixels of an object; smaller ones are left out.

    Raises:
        InputError: no object, or an argument out of its range.
    """

    def __init__(self, images: Dataset, *, context: float = 1.2, min_area: int = 100):
        _check_context(context)
        self.images, self.context = images, context
        found = find_objects(images, min_area)
        self.objects = [(i, one) for i, image in enumerate(found) for one in image.objects]

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> Sample:
        place, (label, number, box) = self.objects[index]
        image, mask, name = self.images[place]
        own = object_pixels(mask, read_instances(self.images, place, mask), label, number)
        alone = np.where(own | (mask == IGNORE_INDEX), mask, BACKGROUND).astype(np.uint8)
        return cut(Sample(image, alone, name), box.extended(self.context))


class ProposalCrops(Dataset):
    """Stage 2: a window around each proposal that overlaps an object, with all labels in it.

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
        images: Dataset,
        *,
        boxes: str | None = None,
        overlap: float = 0.5,
        context: float = 1.2,
        balance: bool = True,
        min_area: int = 100,
    ):
        _check_context(context)
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


def cut(sample: Sample, box: Box) -> Sample:
    """A window of a sample, which may leave the image: black there, and ignored pixels.

    Its name is the image's with the box: NAME_x_y_WIDTHxHEIGHT.
    """
    image = np.zeros((box.height, box.width, 3), np.uint8)
    mask = np.full((box.height, box.width), IGNORE_INDEX, np.uint8)
    x, y, width, height = box.inside(*sample.mask.shape)
    there = np.s_[y : y + height, x : x + width]
    here = np.s_[y - box.y : y - box.y + height, x - box.x : x - box.x + width]
    image[here], mask[here] = sample.image[there], sample.mask[there]
    return Sample(image, mask, f"{sample.name}_{box.x}_{box.y}_{box.width}x{box.height}")


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


def _check_context(context: float) -> None:
    if context < 1:
        raise InputError(f"crops.context must be at least 1, got {context}", do="1 is the tight box")
