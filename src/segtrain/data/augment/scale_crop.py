"""What albumentations lacks: random scale, crop and flip in one step that scales only the window."""

from dataclasses import dataclass, replace

import albumentations
import cv2
import numpy as np

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import InputError

TOLERANCE = 1 / 64  # of a pixel of the scaled image, by which a window may lie off its place


@dataclass(frozen=True)
class Axis:
    """One axis of a window in a scaled image.

    source, scaled: the image's pixels along it, before and after scaling.
    first, count: the pixels of the scaled image that the window has.
    before: the window's pixels before the image begins.
    """

    source: int
    scaled: int
    first: int
    count: int
    before: int

    def nearest(self) -> np.ndarray:
        """The source pixel under the centre of each of the window's pixels, exactly."""
        scaled = np.arange(self.first, self.first + self.count)
        return (2 * scaled + 1) * self.source // (2 * self.scaled)

    def part(self) -> tuple[int, int, int]:
        """The source pixels start .. stop-1 that are to be scaled, and what to skip of the result.

        A part that begins at `start` has its pixels where those of the whole scaled image are only
        if start × scale is a whole number. The next start to the left that is so within TOLERANCE
        is taken; the image's edge always is.
        """
        factor = self.scaled / self.source
        start = max(int((self.first + 0.5) / factor - 0.5), 0)
        while abs(start * factor - round(start * factor)) > TOLERANCE:
            start -= 1
        stop = -(-(self.first + self.count + 1) * self.source // self.scaled) + 1
        return start, min(stop, self.source), self.first - round(start * factor)


class ScaleCrop(albumentations.DualTransform):
    """Scales by a random factor, cuts a window at a random place, and mirrors it, all in one step.

    The same as scaling the whole image (bilinear without antialiasing, as cv2.resize does; labels
    nearest), padding it in the middle of the window where it is smaller, cropping and flipping: the
    labels are equal, and the image lies within 1/64 of a pixel, which is at most 10 of 255 levels
    even in black-and-white noise, and 0.1 on average in a photograph.

    Args:
        height, width: of the window, in pixels.
        scale: the least and the largest factor; uniform between them, one for both sides.
        fill: RGB of what is outside the image; the mask is ignored there.
        flip: the probability of mirroring left and right.

    Raises:
        InputError: an argument out of its range.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        scale: tuple[float, float] = (0.5, 2.0),
        fill: tuple[int, int, int] = (124, 116, 104),
        flip: float = 0.5,
    ):
        super().__init__(p=1.0)
        if min(height, width) < 1:
            raise InputError(f"augment: a window of {width}×{height} pixels", do="give at least 1×1")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise InputError(f"augment: scale={list(scale)}", do="give two factors, the smaller first")
        if not 0 <= flip <= 1:
            raise InputError(f"augment: flip={flip}", do="give a probability from 0 to 1")
        self.height, self.width, self.scale, self.flip = height, width, tuple(scale), flip
        self.border = np.tile(np.array(fill, np.uint8), (width, 1))  # a row

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        factor = self.py_random.uniform(*self.scale)
        height, width = params["shape"][:2]
        return {
            "rows": self._place(height, factor, self.height),
            "columns": self._place(width, factor, self.width),
            "mirrored": self.py_random.random() < self.flip,
        }

    def _place(self, source: int, factor: float, window: int) -> Axis:
        """Where the window lies along one axis: anywhere in the image, or around its middle."""
        scaled = max(round(source * factor), 1)
        outside = max(window - scaled, 0)
        first = self.py_random.randint(0, max(scaled - window, 0))
        return Axis(source, scaled, first, window - outside, outside // 2)

    def apply(self, img: np.ndarray, rows: Axis, columns: Axis, mirrored: bool, **_) -> np.ndarray:
        window, place = self._framed(rows, columns, img.shape[2:], self.border)
        if mirrored:  # what is scaled is not: its columns count from the other edge
            columns = replace(columns, first=columns.scaled - columns.first - columns.count)
        if rows.count == rows.scaled and columns.count == columns.scaled:
            # Every copy that is spared counts: what is scaled no longer fits into a core's cache.
            cv2.resize(img, (columns.scaled, rows.scaled), dst=place, interpolation=cv2.INTER_LINEAR)
            scaled = place
        else:
            (top, bottom, above), (left, right, beside) = rows.part(), columns.part()
            fx, fy = columns.scaled / columns.source, rows.scaled / rows.source
            part = img[top:bottom, left:right]
            scaled = cv2.resize(part, None, fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
            scaled = scaled[above : above + rows.count, beside : beside + columns.count]
        if mirrored:
            cv2.flip(scaled, 1, dst=place)
        elif scaled is not place:
            place[:] = scaled
        return window

    def apply_to_mask(self, mask: np.ndarray, rows: Axis, columns: Axis, mirrored: bool, **_) -> np.ndarray:
        down, across = rows.nearest(), columns.nearest()
        if mirrored:
            across = columns.source - 1 - across
        top, bottom = down[0], down[-1] + 1
        # Columns as rows of the transposed mask: whole rows are copied three times as fast.
        labels = cv2.transpose(cv2.transpose(mask[top:bottom])[across])[down - top]
        if labels.shape == (self.height, self.width):
            return labels
        window, place = self._framed(rows, columns, (), IGNORE_INDEX)
        place[:] = labels
        return window

    def _framed(self, rows: Axis, columns: Axis, channels: tuple, border) -> tuple[np.ndarray, np.ndarray]:
        """The window with its border, and the view of it where the image belongs."""
        window = np.empty((self.height, self.width, *channels), np.uint8)
        y, x = rows.before, columns.before
        place = window[y : y + rows.count, x : x + columns.count]
        if place.shape != window.shape:
            window[:] = border
        return window, place
