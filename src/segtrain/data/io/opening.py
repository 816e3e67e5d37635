"""Opening an image file with Pillow: its faults, and how its camera was held."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from segtrain.errors import InputError, SegtrainError

# That Pillow may open: it would start Ghostscript on a file that looks like EPS.
ANIMATED = ("GIF", "PNG", "WEBP")  # which may hold a film; a JPEG's second image is a camera's preview
PICKLE = "store plain numbers: arrays of objects are not unpickled"
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what a reader raises into an InputError."""
    try:
        yield
    except SegtrainError:
        raise
    except Exception as error:  # a damaged file leads a reader into errors of every kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"not an image of {', '.join(FORMATS)}"
        do = "get the file anew"
        if isinstance(error, Image.DecompressionBombError):
            do = "data=raster trains on windows of it, and segpredict takes it in tiles (large_above)"
        raise InputError(f"{path}: cannot be read ({reason})", do=do) from error


def check_regular(path: Path) -> None:
    """Raises InputError where a path is no file; a pipe would never end."""
    if not path.is_file():
        what = "not a regular file" if path.exists() else "no such file"
        raise InputError(f"{path}: {what}", do="take it out of the data, or add the file")


def open_image(path: Path, *, single: bool = False) -> Image.Image:
    """The image of a file, decoded, as it is stored. Raises InputError, with `single` also where there are
    several in the file."""
    check_regular(path)
    with reading(path), path.open("rb") as file:
        image = Image.open(file, formats=FORMATS)
        if single:
            check_single(image, path)
        image.load()
    return image


def load_numpy(path: Path, name: str) -> np.ndarray:
    """The array of a .npy, or of a .npz the only one or that of a name.

    Raises:
        InputError: it cannot be read, holds objects, or several arrays of other names.
    """
    check_regular(path)
    with reading(path), path.open("rb") as file:  # numpy leaves a damaged archive open
        try:
            loaded = np.load(file, allow_pickle=False)
        except ValueError as error:
            raise InputError(f"{path}: cannot be read ({error})", do=PICKLE) from error
        if isinstance(loaded, np.ndarray):
            return loaded
        names = loaded.files
        if len(names) != 1 and name not in names:
            raise InputError(
                f"{path}: holds the arrays {', '.join(names) or 'nothing'}", do=f"name one of them {name}"
            )
        return loaded[name if name in names else names[0]]


def check_single(image: Image.Image, path: Path) -> None:
    """Raises InputError for an image with several pages or frames, of which Pillow gives the first."""
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise InputError(f"{path}: must be one image, got {pages} pages", do="store one a file")


def stated_size(path: Path) -> tuple[int, int] | None:
    """Height and width as a file's head states them, without decoding it; None where they are not known."""
    try:
        if path.suffix.lower() in (".npy", ".npz"):
            return None if path.suffix == ".npz" else np.load(path, mmap_mode="r").shape[:2]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return image.height, image.width
    except Image.DecompressionBombError as error:
        found = re.search(r"\((\d+) pixels\)", str(error))
        return (1, int(found[1])) if found else None
    except Exception:  # which is said when it is read
        return None


def as_rgb(image: Image.Image, path: Path) -> Image.Image:
    """The image in RGB, without transparency. Raises InputError where Pillow cannot convert it."""
    try:
        # Pillow warns where it drops a palette's transparency, but not by way of RGBA.
        return (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be turned into RGB ({error})", do="store it as RGB") from error


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 also where there is none, or nonsense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # EXIF data in disorder lead Pillow into errors of every kind
        return 1
    return orientation if orientation in range(1, 9) else 1


def orientation(path: Path) -> int:
    """The EXIF orientation of a file; 1 where it is no image."""
    try:
        check_regular(path)
        with Image.open(path, formats=FORMATS) as image:
            return orientation_of(image)
    except Exception:
        return 1


def unequal_sizes(image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path) -> str:
    """What to say of a mask that is not as large as its image, with the EXIF orientations that may be why."""
    what = f"the mask is {_size(mask)}, its image {image_path} is {_size(image)}"
    if image.shape[1::-1] != mask.shape[:2]:
        return what
    of_image, of_mask = orientation(image_path), orientation(mask_path)
    if of_mask > 4:
        return f"{what}: EXIF orientation {of_mask} in the mask turns it, and it was not drawn so"
    if of_image > 4:
        return f"{what}: EXIF orientation {of_image} turns the image, and the mask is as if it did not"
    return what


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
