"""Frames of a video, and what changes between their predictions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from diffperc.errors import ConfigError, DataError, first_line
from diffperc.inference.images import picture
from diffperc.types import Picture

_STILL = 4.0  # grey levels: what changes less from frame to frame has not moved
_BLUR = 5  # pixels, over which noise of the camera is averaged


def frames_of(path: Path) -> Iterator[Picture]:
    """The frames of a video file, (H, W, 3) uint8 RGB, upright.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: the file cannot be read as a video, or its frames change their size.
    """
    with _opened(path) as container:
        size: tuple[int, ...] | None = None
        for i, frame in enumerate(container.decode(container.streams.video[0])):
            # telephones store what they recorded, and by how much it must be turned
            turned = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
            size = _same_size(turned, size, f"{path}, frame {i + 1}")
            yield turned


def frame_rate(path: Path) -> Fraction:
    """Frames per second of a video file; 25 where it does not say.

    Raises:
        ConfigError: see `frames_of`.
        DataError: see `frames_of`.
    """
    with _opened(path) as container:
        rate = container.streams.video[0].average_rate
    return Fraction(rate).limit_denominator(1001) if rate else Fraction(25)


def images_as_frames(files: Sequence[Path]) -> Iterator[Picture]:
    """Image files as frames.

    Raises:
        DataError: one cannot be read, or has another size than the first.
    """
    size: tuple[int, ...] | None = None
    for file in files:
        frame = picture(file)
        size = _same_size(frame, size, str(file))
        yield frame


def _same_size(frame: Picture, size: tuple[int, ...] | None, where: str) -> tuple[int, ...]:
    if size is not None and frame.shape != size:
        raise DataError(
            f"{where}: is {frame.shape[1]}x{frame.shape[0]} pixels and the first frame {size[1]}x{size[0]}; frames of a "
            "video have one size."
        )
    return frame.shape


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: holds no video.")
            yield container
    except av.FFmpegError as error:
        raise DataError(f"{path}: cannot be read as a video ({first_line(error)}).") from error


class VideoFile:
    """Writes frames as H.264 in an mp4 file; a context manager.

    Args:
        path: of the file, whatever its ending.
        rate: frames per second.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._container = _av().open(str(path), "w", format="mp4")
        self._stream: Any = self._container.add_stream("libx264", rate=rate)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "18"}
        self._begun = False

    def add(self, frame: Picture) -> None:
        """Append (H, W, 3) RGB; an odd side gets its last row or column twice, as the format holds even ones alone."""
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")
        if not self._begun:  # the size is that of the first frame
            self._stream.height, self._stream.width = even.shape[:2]
            self._begun = True
        for packet in self._stream.encode(_av().VideoFrame.from_ndarray(even, format="rgb24")):
            self._container.mux(packet)

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None and self._begun:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


class ArrayFile:
    """Writes arrays of one shape and type as one npy file, (frames, ...), without holding them in memory; a context manager.

    Args:
        path: of the file, whatever its ending.
    """

    def __init__(self, path: Path) -> None:
        self._first: NDArray[Any] | None = None
        self._count = 0
        self._file = path.open("wb")

    def add(self, array: NDArray[Any]) -> None:
        """Append an array."""
        if self._first is None:
            self._first = array
            self._header(0)
        self._file.write(np.ascontiguousarray(array).tobytes())
        self._count += 1

    def _header(self, count: int) -> None:
        assert self._first is not None
        shape = (count, *self._first.shape)
        described = {"descr": np.lib.format.dtype_to_descr(self._first.dtype), "fortran_order": False, "shape": shape}
        # room for any number of frames: numpy pads the header of version 1 with spaces
        np.lib.format.write_array_header_1_0(self._file, described)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._first is not None:
            self._file.seek(0)
            self._header(self._count)
        self._file.close()


def stillness(frame: Picture, before: Picture) -> NDArray[np.float32]:
    """(H, W) in [0, 1]: 1 where the image is as before, falling to 0 where it has changed."""
    change = cv2.blur(cv2.absdiff(frame, before).max(-1).astype(np.float32), (_BLUR, _BLUR))
    return np.exp(-((change / _STILL) ** 2))


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ConfigError("a video is read and written by PyAV: pip install 'diffperc[video]'.") from error
    return av
