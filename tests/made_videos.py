"""Small video files for tests: a grey ramp that brightens, a sine for sound."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

KINDS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx-vp9", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
}
SIZE = (48, 64)
SOUND_RATE = 48000


def frame_pixels(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """``H W 3``: brighter to the right, and from frame to frame."""
    row = np.linspace(20, 120, size[1])[None, :, None] + 3 * number
    return np.broadcast_to(row, (*size, 3)).astype(np.uint8)


def make_video(
    path: Path,
    times: Sequence[int] = range(20),
    *,
    sounds: int = 1,
    size: tuple[int, int] = SIZE,
    rotation: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Frame i is ``frame_pixels(i)`` at ``times[i]`` / 25 s, with ``sounds`` sines."""
    codec, sound_codec = KINDS[path.suffix]
    with av.open(str(path), "w", options=options or {}) as container:
        sharp = {"qmin": "2", "qmax": "2"} if codec == "mpeg4" else {}
        stream = container.add_stream(codec, rate=25, options=sharp)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        if rotation is not None:
            stream.set_display_rotation(rotation)
        audio = [container.add_stream(sound_codec, rate=SOUND_RATE) for _ in range(sounds)]
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number, size), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for pitch, made in enumerate(audio, start=1):
            _encode_sine(container, made, 220 * pitch, (times[-1] + 1) / 25)
    return path


def _encode_sine(container: Any, stream: Any, pitch: float, seconds: float) -> None:
    samples = np.sin(np.arange(int(seconds * SOUND_RATE)) * 2 * np.pi * pitch / SOUND_RATE) / 3
    for start in range(0, len(samples), 1024):
        block = (samples[start : start + 1024] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(block, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def sound_packets(path: Path) -> list[list[tuple[Fraction, bytes]]]:
    """For every audio stream its packets: time of display in seconds, and bytes."""
    with av.open(str(path)) as container:
        packets: list[list[tuple[Fraction, bytes]]] = [[] for _ in container.streams.audio]
        places = {stream.index: i for i, stream in enumerate(container.streams.audio)}
        for packet in container.demux(*container.streams.audio) if packets else ():
            if packet.size:
                time = packet.pts * Fraction(packet.time_base)
                packets[places[packet.stream.index]].append((time, bytes(packet)))
    return packets


def cut_file(path: Path, share: float) -> Path:
    """The first bytes of a file as another one beside it."""
    cut = path.with_stem(f"{path.stem}-cut")
    data = path.read_bytes()
    cut.write_bytes(data[: int(len(data) * share)])
    return cut
