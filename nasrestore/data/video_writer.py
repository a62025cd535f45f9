"""Frames to a video file, with the times, the shape of pixels and the sound of another one.

H.264 at crf 16 (``libx264``) into .mp4, .mov and .mkv, VP9 at crf 20 (``libvpx-vp9``) into .webm, MPEG-4
part 2 at quantiser 2 into .avi; 8 bits. Chroma is halved (4:2:0) as players want it, except that H.264 of
an odd height or width keeps the size exactly by 4:4:4. Sound is copied packet by packet, never encoded
again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nasrestore.data.refused import refused
from nasrestore.data.video import EXACT_CONVERSION, Colour, Video
from nasrestore.errors import NasRestoreError

_MPEG_RANGE = 1  # ITU-T H.273: luma from 16 to 235
_MPEG4_DENOMINATOR = 65535  # of a time, at most


@dataclass(frozen=True)
class _Kind:
    """How a container is written."""

    container: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "16", "preset": "medium"})
    container_options: dict[str, str] = field(default_factory=dict)
    steady: bool = False  # frames at equal distances alone

    def pixel_format(self, height: int, width: int) -> str:
        halves = self.codec != "libx264" or (height % 2 == 0 and width % 2 == 0)
        return "yuv420p" if halves else "yuv444p"


_FAST_START = {"movflags": "+faststart"}  # the index first, so that a browser starts at once
_KINDS = {
    ".mp4": _Kind("mp4", container_options=_FAST_START),
    ".mov": _Kind("mov", container_options=_FAST_START),
    ".mkv": _Kind("matroska"),
    # H.264 in AVI has no times of its own, and comes back a frame late
    ".avi": _Kind("avi", "mpeg4", {"qmin": "2", "qmax": "2"}, steady=True),
    ".webm": _Kind(
        "webm",
        "libvpx-vp9",
        {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
    ),
}
WRITABLE_SUFFIXES = tuple(_KINDS)
_INSTEAD = {".m4v": ".mp4", ".gif": ".mp4", ".3gp": ".mp4"}


def written_suffix(source: Path) -> str:
    """The suffix of a video made from another: its own where it can be written, or a near one."""
    suffix = source.suffix.lower()
    return suffix if suffix in _KINDS else _INSTEAD.get(suffix, ".mkv")


class VideoWriter:
    """Writes frames of one size to a video file; a context manager.

    The file appears under its name when the block is left, with all frames written so far, also
    where that is by an error or an interruption. Without any frame there is no file.

    Args:
        path: ``.mp4``, ``.mov``, ``.mkv``, ``.webm`` or ``.avi``; missing folders are made.
        size: height and width, pixels.
        rate: frames a second, on average.
        time_base: the unit of times, seconds; default: one frame. Times are rounded to the
            container's: 1 ms in Matroska and WebM, a frame in AVI.
        like: the video whose sound, shape of pixels and colour tags are taken over.

    Raises:
        NasRestoreError: unknown suffix, no encoder, the container does not take the sound, or the
            disk refuses.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        rate: Fraction,
        *,
        time_base: Fraction | None = None,
        like: Video | None = None,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.frames = 0
        kind = _KINDS.get(self.path.suffix.lower())
        if kind is None:
            raise NasRestoreError(
                f"cannot write {path}: the suffix {self.path.suffix!r} names no video format",
                hint=f"use one of {', '.join(_KINDS)}",
            )
        self._rate = rate
        frame = (1 / rate).limit_denominator(_MPEG4_DENOMINATOR)
        self._time_base = frame if kind.steady or time_base is None else time_base
        self._steady, self._by_decoding = kind.steady, kind.container in ("mp4", "mov")
        self._waiting: Any = None  # the frame given last: only the next tells how long it is shown
        self._shown = 1 / rate
        self._ticks: dict[int, int] = {}  # by their times, how long frames in the encoder are shown
        self._start: tuple[int, int] | None = None  # of the first packet: when shown, when decoded
        self._colour = (Colour() if like is None else like.colour).resolved(size[0])
        self._part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        self._sound: _Sound | None = None
        self._container: Any = None
        self._stream: Any = None
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open(kind, like)

    @classmethod
    def like(cls, path: str | Path, video: Video) -> VideoWriter:
        """A writer for the restored frames of a video."""
        return cls(path, video.size, video.rate, time_base=video.time_base, like=video)

    def write(
        self, pixels: np.ndarray, time: Fraction | None = None, duration: Fraction | None = None
    ) -> None:
        """Appends a frame.

        Args:
            pixels: ``H W 3`` uint8; ``H W 1`` and ``H W`` are grey.
            time: of its display, seconds, later than the frame before; default: by the rate.
            duration: for how long it is shown if it is the last, seconds; default: by the rate.

        Raises:
            NasRestoreError: the disk refuses.
            ValueError: pixels of another size or type.
        """
        import av

        time = self.frames / self._rate if time is None else time
        frame = av.VideoFrame.from_ndarray(_three_channels(pixels, self.size), format="rgb24")
        frame = frame.reformat(
            format=self._stream.codec_context.pix_fmt,
            dst_colorspace=self._colour.swscale,
            interpolation=EXACT_CONVERSION,
        )
        frame.pts, frame.time_base = round(time / self._time_base), self._time_base
        if self._waiting is not None:
            frame.pts = max(self._waiting.pts + 1, frame.pts)
        with self._writing():
            self._encode_waiting(frame.pts)
            if self._sound is not None:
                self._sound.copy_until(frame.pts * self._time_base)
        self._waiting = frame
        self._shown = 1 / self._rate if duration is None else duration
        self.frames += 1

    def finish(self, *, whole: bool = True) -> None:
        """Ends the file and gives it its name.

        Args:
            whole: the video ends here, so all its sound goes in; else up to the last frame's end.
        """
        with self._writing():
            end = self._waiting.pts + max(1, round(self._shown / self._time_base))
            if self._sound is not None:
                self._sound.copy_until(None if whole else end * self._time_base)
                self._sound.close()
            self._encode_waiting(end)
            packets = self._stream.encode(None)
            self._mux(packets, self._least(end, packets))
            self._container.close()
            os.replace(self._part, self.path)

    def _encode_waiting(self, end: int) -> None:
        """The frame that waits is shown until ``end``, in units of time."""
        if self._waiting is not None:
            self._ticks[self._waiting.pts] = end - self._waiting.pts
            self._mux(self._stream.encode(self._waiting))

    def _mux(self, packets: Sequence[Any], least: int = 1) -> None:
        """Writes packets with how long their frames are shown; the last of them ``least`` or more."""
        for packet in packets:
            self._start = self._start or (packet.pts, packet.dts)
            ticks = self._ticks.pop(packet.pts, 1)
            if not self._steady:
                packet.duration = max(ticks, least) if packet is packets[-1] else ticks
            self._container.mux(packet)

    def _least(self, end: int, packets: Sequence[Any]) -> int:
        """How long the packet that is decoded last counts at least, for a track to reach ``end``.

        MP4 has the ways from packet to packet in the order of decoding, and the last one's duration:
        where frames are reordered, their sum is not the time that they are shown.
        """
        if not self._by_decoding or not packets:
            return 1
        shown, decoded = self._start or (packets[0].pts, packets[0].dts)
        return int((end - shown) - (packets[-1].dts - decoded))

    def discard(self) -> None:
        """Leaves no file."""
        if self._sound is not None:
            self._sound.close()
        with suppress(Exception):  # what the muxer misses in an unfinished file is of no interest
            self._container.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.frames:
                self.finish(whole=error is None)
            else:
                self.discard()
        except BaseException:
            self.discard()
            if error is None:
                raise

    def _open(self, kind: _Kind, like: Video | None) -> None:
        import av

        if kind.codec not in av.codecs_available:
            raise NasRestoreError(
                f"cannot write {self.path}: the installed PyAV has no encoder {kind.codec}",
                hint="write frames instead of a video, or install PyAV's own wheel",
            )
        options = kind.container_options
        self._container = av.open(str(self._part), "w", format=kind.container, options=options)
        self._stream = self._container.add_stream(kind.codec, rate=self._rate, options=kind.options)
        height, width = self.size
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = kind.pixel_format(height, width)
        self._stream.time_base = self._time_base
        context = self._stream.codec_context
        context.time_base = self._time_base
        context.colorspace, context.color_range = self._colour.matrix, _MPEG_RANGE
        context.color_primaries = self._colour.primaries
        context.color_trc = self._colour.transfer
        if like is not None:
            context.sample_aspect_ratio = like.pixel_aspect
            if like.sound:
                self._sound = _Sound(like.path, self._container)
        self._container.start_encoding()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What encoder, muxer and disk refuse, as one message; nothing is left of the file."""
        import av

        try:
            yield
        except NasRestoreError:
            self.discard()
            raise
        except (av.error.FFmpegError, OSError) as error:
            self.discard()
            raise refused(self.path, error) from error


class _Sound:
    """Copies the audio streams of a file into a container, packet by packet, as time goes on."""

    def __init__(self, source: Path, target: Any) -> None:
        import av

        self._container = av.open(str(source), metadata_errors="replace")
        self._target = target
        self._streams = {}
        for stream in self._container.streams.audio:
            made = _copied(stream, target)
            made.metadata.update(stream.metadata)
            self._streams[stream.index] = made
        self._packets = self._container.demux(*self._container.streams.audio)
        self._next: Any = None

    def copy_until(self, time: Fraction | None) -> None:
        """Copies what is to be decoded before ``time`` (seconds); None: all that is left."""
        while True:
            packet = self._next or self._read()
            if packet is None:
                return
            if time is not None and packet.dts * Fraction(packet.time_base) >= time:
                self._next = packet
                return
            self._next = None
            packet.stream = self._streams[packet.stream.index]
            self._target.mux(packet)

    def close(self) -> None:
        self._container.close()

    def _read(self) -> Any:
        """The next packet with sound in it, or None at the end, which damage may bring early."""
        import av

        try:
            return next((p for p in self._packets if p.dts is not None and p.size), None)
        except (av.error.FFmpegError, ValueError):
            return None


def _copied(stream: Any, target: Any) -> Any:
    """A stream of a container for the packets of another."""
    try:
        return target.add_stream_from_template(stream)
    except ValueError as error:  # PyAV knows what a format cannot hold
        raise NasRestoreError(
            f"sound of the kind {stream.codec_context.name} does not go into {target.format.name}",
            hint="write an .mkv, which takes nearly any",
        ) from error


def _three_channels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if planes.dtype != np.uint8 or planes.shape not in ((*size, 3), (*size, 1)):
        raise ValueError(f"a frame {pixels.shape} {pixels.dtype}: expected {(*size, 3)} uint8")
    return np.ascontiguousarray(np.broadcast_to(planes, (*size, 3)))
