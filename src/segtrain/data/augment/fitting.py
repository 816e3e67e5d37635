"""Augmentations for images of any channels and numbers: what they fill borders with, and which of them make
no sense."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import albumentations
import numpy as np

from segtrain.contracts import RandomState
from segtrain.errors import InputError
from segtrain.input_spec import InputSpec

FAR = 10  # ranges beyond the images' own that a blur may see
FEW = 4  # channels for which OpenCV takes a colour
SIDE = 1100  # of the image that each transform is tried on: larger than any window
# What changes an image's numbers by those of its neighbours alone, whatever they stand for.
BLURS = (
    "AdvancedBlur",
    "Blur",
    "Defocus",
    "GaussianBlur",
    "GlassBlur",
    "MedianBlur",
    "MotionBlur",
    "ZoomBlur",
)


class Rescaled:
    """A transform of albumentations that sees (image - offset) / scale, float32, instead of the image.

    Args:
        transform: of albumentations.
        offset, scale: of each channel.
        dtype: of the images, which they have afterwards again.
    """

    def __init__(self, transform: Any, offset: Sequence[float], scale: Sequence[float] | float, dtype: str):
        self.transform, self.dtype = transform, np.dtype(dtype)
        self.offset, self.scale = np.array(offset, np.float32), np.array(scale, np.float32)

    def set_random_state(self, *states: Any) -> None:
        """As albumentations' own."""
        self.transform.set_random_state(*states)

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        done = self.transform(image=(image.astype(np.float32) - self.offset) / self.scale, mask=mask)
        back = done["image"] * self.scale + self.offset
        if self.dtype.kind != "f":
            limits = np.iinfo(self.dtype)
            back = back.round().clip(limits.min, limits.max)
        return {"image": back.astype(self.dtype), "mask": done["mask"]}


def fit_transforms(transforms: Mapping[str, Any], spec: InputSpec) -> list[Any]:
    """The transforms of `augment=` for the images of a data set.

    Borders are filled with the images' mean, and every transform is tried on an image of noise. Those of
    RGB with 8 bits stay as they are.

    Raises:
        InputError: a transform that does not take such images, by its name.
    """
    if spec.is_rgb8:
        return list(transforms.values())
    refuse_colour_changes(transforms, spec)
    noise = np.random.default_rng(0).uniform(*spec.range, (SIDE, SIDE, spec.channels)).astype(spec.dtype)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    fitted = []
    for name, transform in transforms.items():
        transform = _fitted(transform, spec)
        noise, mask = _tried(name, transform, noise, mask)
        fitted.append(transform)
    return fitted


def _fitted(transform: Any, spec: InputSpec) -> Any:
    """The transform with the images' own fill; colours change by shares of the range."""
    parts = list(_parts(transform))
    filling = [part for part in parts if "fill" in vars(part)]
    if any(map(_changes_colours, parts)) and spec.dtype != "uint8":
        low, high = (np.array(bound) for bound in spec.range)
        for part in filling:
            part.fill = float(((np.array(spec.fill) - low) / (high - low)).mean())
        return Rescaled(transform, spec.range[0], (high - low).tolist(), spec.dtype)
    if spec.dtype == "float32" and any(type(part).__name__ in BLURS for part in parts):
        # albumentations cuts what it blurs to 0 to 1: far from what the images have
        low, high = (np.array(bound) for bound in spec.range)
        wide = (high - low) * FAR
        return Rescaled(transform, (low - wide).tolist(), (2 * wide + high - low).tolist(), spec.dtype)
    few = spec.channels <= FEW
    for part in filling:
        part.fill = list(spec.fill) if few else 0
    return transform if few or not filling else Rescaled(transform, spec.fill, 1.0, spec.dtype)


def refuse_colour_changes(transforms: Mapping[str, Any], spec: InputSpec) -> None:
    """Raises InputError where a transform changes colours of images whose range nobody gave."""
    if spec.dtype == "uint8" or (spec.low and not spec.mean):
        return
    for name, transform in transforms.items():
        if any(map(_changes_colours, _parts(transform))):
            raise InputError(
                f"augment.{name}: {type(transform).__name__} changes colours by shares of the range, which"
                f" images of {spec.dtype} do not say",
                do=f"give data.range=[LOWEST,HIGHEST], or leave it out: ~augment.{name}",
            )


def _tried(name: str, transform: Any, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image after the transform. Raises InputError."""
    what = f"augment.{name}: {type(getattr(transform, 'transform', transform)).__name__}"
    kind = f"images of {image.shape[2]} channels of {image.dtype}"
    try:
        if isinstance(transform, RandomState):
            transform.set_random_state(np.random.default_rng(0), random.Random(0))
            done = transform(image=image, mask=mask)
            moved, labels = done["image"], done["mask"]
        else:
            moved, labels = transform(image, mask, np.random.default_rng(0))
    except Exception as error:  # libraries refuse in every way
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{what} does not take {kind} ({reason})", do=f"leave it out: ~augment.{name}"
        ) from error
    if moved.ndim != 3 or moved.shape[2] != image.shape[2] or moved.dtype != image.dtype:
        raise InputError(
            f"{what} must leave {kind} as they are, got {moved.dtype} {moved.shape}",
            do=f"leave it out: ~augment.{name}",
        )
    return moved, labels


def _parts(transform: Any) -> Iterator[Any]:
    """A transform and those inside of it, as of OneOf."""
    yield transform
    for part in getattr(transform, "transforms", ()):
        yield from _parts(part)


def _changes_colours(transform: Any) -> bool:
    return isinstance(transform, albumentations.ImageOnlyTransform) and type(transform).__name__ not in BLURS
