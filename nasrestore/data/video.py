"""Video files as streams of upright frames with their exact times; FFmpeg's decoders, by PyAV.

A frame is ``H W 3`` uint8 (8 bits of RGB, whatever the file holds). One frame is decoded at a time,
so memory does not grow with the length of a video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nasrestore.errors import NasRestoreError

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg",
        ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    )
)  # fmt: skip
HIGH_DEFINITION = 720  # lines from which on players take untagged video for BT.709

_BT709, _BT601, _UNSPECIFIED = 1, 6, 2  # ITU-T H.273, matrix coefficients
_FULL_RANGE = 2  # luma from 0 to 255
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020", 10: "BT2020"}  # fmt: skip
_LIKELY_RATE = Fraction(25)  # where a file says nothing

# libswscale's flags, of which PyAV names all only from 18 on. Without the last three it rounds down and
# averages chroma over pairs of pixels: 4:2:0 comes back one grey level too dark, at every pass.
_BICUBIC, _ACCURATE_ROUNDING = 0x4, 0x40000
_FULL_CHROMA_OUT, _FULL_CHROMA_IN = 0x2000, 0x4000
EXACT_CONVERSION = _BICUBIC | _ACCURATE_ROUNDING | _FULL_CHROMA_OUT | _FULL_CHROMA_IN


class TimedFrame(NamedTuple):
    """One frame: ``H W 3`` uint8, its time of display in seconds, exact, and for how long.

    The duration is what the file says, which matters for the last frame: the others are shown until the
    next one. Where it says nothing it is one frame of the average rate.
    """

    pixels: np.ndarray
    time: Fraction
    duration: Fraction


class VideoCut(NasRestoreError):
    """A video stops decoding before its end.

    Attributes:
        frames: how many could be decoded.
    """

    def __init__(self, message: str, frames: int) -> None:
        super().__init__(message, hint="the file is damaged or was not copied whole")
        self.frames = frames


@dataclass(frozen=True)
class Orientation:
    """How stored frames are turned to stand upright: transposed first, then flipped."""

    transposed: bool = False
    left_right: bool = False
    top_down: bool = False

    def upright(self, pixels: np.ndarray) -> np.ndarray:
        """``H W C`` as it is looked at."""
        if self.transposed:
            pixels = pixels.swapaxes(0, 1)
        if self.left_right:
            pixels = pixels[:, ::-1]
        if self.top_down:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


@dataclass(frozen=True)
class Colour:
    """What the numbers of a frame mean (ITU-T H.273): matrix, primaries, transfer; 2 is unknown."""

    matrix: int = _UNSPECIFIED
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED

    def resolved(self, height: int) -> Colour:
        """With the matrix that players assume where none is said: by the number of lines."""
        if self.matrix in _MATRICES:
            return self
        assumed = _BT709 if height >= HIGH_DEFINITION else _BT601
        return Colour(assumed, self.primaries, self.transfer)

    @property
    def swscale(self) -> Any:
        """PyAV's name of the matrix."""
        from av.video.reformatter import Colorspace

        return Colorspace[_MATRICES[self.matrix]]


@dataclass(frozen=True)
class Video:
    """A video file that can be decoded; iterate to read its frames, as often as wanted.

    Attributes:
        height, width: of the upright frames, pixels.
        rate: frames a second on average.
        time_base: the unit of its frames' times, seconds.
        expected: how many frames the file says or its length suggests; None where it does neither.
        sound: the number of audio streams.
        pixel_aspect: width over height of a pixel of the upright frames.
    """

    path: Path
    height: int
    width: int
    rate: Fraction
    time_base: Fraction
    expected: int | None
    sound: int
    orientation: Orientation
    pixel_aspect: Fraction
    colour: Colour

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.height, self.width

    def __iter__(self) -> Iterator[TimedFrame]:
        """Frames in the order of display, one decoded at a time.

        Raises:
            VideoCut: it stops decoding half way, or frames change their size; after all frames
                before that.
        """
        import av

        count, end, longest = 0, Fraction(0), 1 / self.rate
        last: TimedFrame | None = None
        found = None
        with _opened(self.path) as container:
            stream = _picture(container)
            frames = _decoded(container, stream, self.rate)
            while found is None:
                try:
                    frame, duration = next(frames, (None, Fraction(0)))
                except (av.error.FFmpegError, ValueError) as error:
                    found = _reason(error)
                    break
                if frame is None:
                    found = _missing(container, stream, count, end, longest)
                    break
                pixels = self.orientation.upright(_rgb(frame, self.colour))
                if pixels.shape[:2] != self.size:
                    found = f"its size changes to {pixels.shape[1]}x{pixels.shape[0]}"
                    break
                time = end if frame.pts is None else frame.pts * Fraction(frame.time_base)
                longest = max(longest, time - end + 1 / self.rate if count else longest)
                if last is not None:
                    yield last
                last = TimedFrame(pixels, time, duration)
                count, end = count + 1, max(end, time + last.duration)
            if last is not None:
                yield last if found else _held(last, container, stream)
        if found:
            raise self._cut(count, end, found)

    def _cut(self, frames: int, time: Fraction, reason: str) -> VideoCut:
        at = f"after frame {frames} ({clock(time)})" if frames else "at its first frame"
        return VideoCut(f"{self.path} stops decoding {at}: {reason}", frames)


def open_video(path: str | Path) -> Video:
    """Looks into a video file and decodes its first frame.

    Raises:
        NasRestoreError: missing, a folder, not a video, without picture, or nothing to decode.
    """
    path = Path(path)
    import av

    with _opened(path) as container:
        stream = _picture(container)
        if stream is None:
            raise NasRestoreError(f"{path} has no video stream: only sound or other data")
        try:
            first = next(container.decode(stream), None)
        except (av.error.FFmpegError, ValueError) as error:
            raise NasRestoreError(f"cannot decode {path}: {_reason(error)}") from error
        if first is None:
            raise NasRestoreError(f"{path} is an empty video: no frame can be decoded")
        return _described(path, container, stream, first)


def is_video_name(path: Path) -> bool:
    """Whether a file is known as a video by its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def clock(seconds: Fraction | float) -> str:
    """``0:04.120``."""
    milliseconds = round(float(seconds) * 1000)
    return f"{milliseconds // 60000}:{milliseconds % 60000 / 1000:06.3f}"


def _described(path: Path, container: Any, stream: Any, first: Any) -> Video:
    orientation = _orientation(first)
    height, width = first.height, first.width
    aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
    if orientation.transposed:
        height, width, aspect = width, height, 1 / aspect
    rate = Fraction(stream.average_rate or stream.guessed_rate or _LIKELY_RATE)
    context = stream.codec_context
    colour = Colour(
        int(first.colorspace),
        int(getattr(context, "color_primaries", _UNSPECIFIED) or _UNSPECIFIED),
        int(getattr(context, "color_trc", _UNSPECIFIED) or _UNSPECIFIED),
    )
    seconds = _seconds(container, stream)
    counted = int(stream.frames) or (None if seconds is None else round(seconds * rate))
    return Video(
        path,
        height,
        width,
        rate,
        Fraction(stream.time_base),
        counted or None,
        len(container.streams.audio),
        orientation,
        aspect,
        colour.resolved(first.height),
    )


def _opened(path: Path) -> Any:
    import av

    try:
        return av.open(str(path), metadata_errors="replace")
    except FileNotFoundError:
        raise NasRestoreError(f"cannot read {path}: no such file") from None
    except IsADirectoryError:
        raise NasRestoreError(f"cannot read {path}: it is a folder") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        found = f"not a video, or truncated or damaged ({_reason(error)})"
        if path.is_file() and path.stat().st_size == 0:
            found = "the file is empty"
        elif isinstance(error, PermissionError):
            found = "no permission"
        raise NasRestoreError(f"cannot read {path}: {found}") from error


def _picture(container: Any) -> Any:
    """The video stream to show: the first that is not a cover picture."""
    import av

    cover = av.stream.Disposition.attached_pic
    shown = (s for s in container.streams.video if not s.disposition & cover)
    return next(shown, None)


def _rgb(frame: Any, colour: Colour) -> np.ndarray:
    # PyAV 15 looks at matrix and range only where those of source and target are said to differ
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=colour.swscale,
        dst_colorspace="DEFAULT",
        interpolation=EXACT_CONVERSION,
        **({"src_color_range": "JPEG"} if full else {}),
    )
    pixels: np.ndarray = converted.to_ndarray()
    return pixels


def _orientation(frame: Any) -> Orientation:
    """From the display matrix: a stored point (x, y) is shown at (a x + c y, b x + d y)."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, left_right=a < 0, top_down=d < 0)
    return Orientation(True, left_right=c < 0, top_down=b < 0)


def _decoded(container: Any, stream: Any, rate: Fraction) -> Iterator[tuple[Any, Fraction]]:
    """Frames, and how long each is shown by its packet (PyAV 15 does not say it of frames)."""
    ticks: dict[int, int] = {}
    for packet in container.demux(stream):
        if packet.pts is not None and packet.duration:
            ticks[packet.pts] = packet.duration
        for frame in packet.decode():
            shown = ticks.pop(frame.pts, 0) * Fraction(stream.time_base)
            yield frame, shown if shown > 0 else 1 / rate


def _held(last: TimedFrame, container: Any, stream: Any) -> TimedFrame:
    """The last frame, shown until the end of its track.

    MP4 knows of a frame only how long after it the next is decoded, and that is another one than the
    next to be shown where frames are reordered.
    """
    promised = _promised_end(container, stream)
    if "mp4" not in container.format.name or promised is None or promised <= last.time:
        return last
    return last._replace(duration=promised - last.time)


def _seconds(container: Any, stream: Any) -> Fraction | None:
    """The length of the picture by the file's header."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        # a cut file's duration is what is left of it; frames that are empty are counted here too
        return stream.frames / Fraction(stream.average_rate)
    if stream.duration:
        return Fraction(stream.duration) * Fraction(stream.time_base)
    tag = stream.metadata.get("DURATION")  # Matroska's, one for each stream
    if tag is not None:
        parts = tag.split(":")
        try:
            hours, minutes, rest = (Fraction(part) for part in parts)
        except ValueError:
            return None
        return hours * 3600 + minutes * 60 + rest
    if container.duration and not container.streams.audio:
        return Fraction(container.duration, 1_000_000)
    return None


def _missing(
    container: Any, stream: Any, count: int, end: Fraction, longest: Fraction
) -> str | None:
    """What lacks at the end: FFmpeg takes a file that was cut off for one that ends there."""
    if count == stream.frames:
        return None
    promised = _promised_end(container, stream)
    if promised is not None and promised - end > longest * 3 / 2:
        return f"its header promises {clock(promised)}"
    return None


def _promised_end(container: Any, stream: Any) -> Fraction | None:
    """When the picture ends by the file's header, seconds."""
    seconds = _seconds(container, stream)
    start = Fraction(0)
    if stream.duration and stream.start_time is not None:
        start = stream.start_time * Fraction(stream.time_base)
    return None if seconds is None else start + seconds


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().lower() or type(error).__name__
