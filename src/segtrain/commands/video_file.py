"""A video that is written frame by frame: H.264 by PyAV, which browsers play, else MPEG-4 by OpenCV."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from segtrain.errors import SaveError, how_to_install

QUALITY = "20"  # H.264's constant rate factor; the eye sees no difference to the original at 18


class VideoFile(Protocol):
    """A file that takes frames.

    Attributes:
        note: what to say of its format; empty where there is nothing.
    """

    note: str

    def write(self, frame: np.ndarray) -> None:
        """Takes a frame, uint8 H×W×3."""

    def close(self) -> None:
        """Writes what is left."""


class H264:
    """H.264 in yuv420p with the index in front: every browser plays it, and begins before it has all of it.

    Args:
        path: ends in .mp4.
        rate: frames a second.
        shape: height and width; an odd one gets one more row or column, as the format wants.
    """

    note = ""

    def __init__(self, path: Path, rate: float, shape: tuple[int, ...]):
        import av

        self.path = path
        self._even = [(0, side % 2) for side in shape[:2]]
        self._container: Any = av.open(str(path), "w", options={"movflags": "faststart"})
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        self._stream.height, self._stream.width = (n + n % 2 for n in shape[:2])
        self._stream.pix_fmt, self._stream.options = "yuv420p", {"crf": QUALITY}
        self._frame = av.VideoFrame.from_ndarray

    def write(self, frame: np.ndarray) -> None:
        padded = np.pad(frame, (*self._even, (0, 0)), mode="edge")
        self._mux(self._frame(padded, format="rgb24"))

    def close(self) -> None:
        self._mux(None)
        try:
            self._container.close()
        except OSError as error:
            raise SaveError.of(self.path, error) from error

    def _mux(self, frame: Any) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError as error:  # PyAV's errors of files are
            raise SaveError.of(self.path, error) from error


class Mpeg4:
    """MPEG-4 by OpenCV, whose wheels have no encoder of H.264: players play it, browsers do not."""

    note = f"the video is MPEG-4, which browsers do not play; for H.264 {how_to_install('video')}"

    def __init__(self, path: Path, rate: float, shape: tuple[int, ...]):
        size = (shape[1], shape[0])
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        if not self._writer.isOpened():
            raise SaveError(f"{path}: OpenCV writes no such video", do="give the frames as images")

    def write(self, frame: np.ndarray) -> None:
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


def open_video(path: Path, rate: float, shape: tuple[int, ...]) -> VideoFile:
    """Begins a video.

    Args:
        path: ends in .mp4.
        rate: frames a second.
        shape: of the frames, H×W×3.

    Returns:
        H.264 where PyAV is installed, else MPEG-4.

    Raises:
        SaveError: it cannot be written.
    """
    return H264(path, rate, shape) if find_spec("av") else Mpeg4(path, rate, shape)
