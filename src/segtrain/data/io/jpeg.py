"""JPEG by OpenCV's decoder: the same pixels as Pillow's, in half of the time or less."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

START = b"\xff\xd8"
FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
SCAN = 0xDA  # the marker that the image's data follow
SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of segments with the image's size
UNSURE = (0xE1, 0xE2, 0xEE)  # of EXIF and XMP, of a second image, of Adobe's colours


def decode_jpeg(path: Path) -> np.ndarray | None:
    """uint8 H×W×3 RGB of a grey or RGB JPEG that the camera did not turn.

    None for every other file, for a damaged one and for one that is larger than Pillow's limit:
    Pillow then reads it, or says why not.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(START)) != START:
                return None
            content = START + file.read()
        if not _is_plain(content) and not _is_upright(content):
            return None
        return cv2.imdecode(np.frombuffer(content, np.uint8), FLAGS)
    except Exception:  # a damaged header fails in many ways, and Pillow's reader knows the words
        return None


def _is_plain(content: bytes) -> bool:
    """Whether the header can only be that of an upright grey or RGB image of common size.

    Pillow knows this too, but takes a tenth of the time of the decoding for it.
    """
    place, fits = len(START), False
    while content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == SCAN:
            return fits
        if marker in UNSURE:
            return False
        if marker in SIZES:
            bits, channels = content[place + 4], content[place + 9]
            height, width = (int.from_bytes(content[place + i : place + i + 2], "big") for i in (5, 7))
            fits = bits == 8 and channels in (1, 3) and height * width <= (Image.MAX_IMAGE_PIXELS or 0)
        place += 2 + length
    return False


def _is_upright(content: bytes) -> bool:
    with Image.open(BytesIO(content)) as header:
        turned = header.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return not turned and header.format == "JPEG" and header.mode in ("RGB", "L")
