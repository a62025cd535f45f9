"""Videos that are read and written: frames, times, orientation, sound, and what is damaged."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from made_videos import KINDS, SIZE, cut_file, frame_pixels, make_video, sound_packets

from nasrestore.data.video import VideoCut, clock, open_video
from nasrestore.data.video_writer import VideoWriter, written_suffix
from nasrestore.errors import NasRestoreError

UNEVEN = [0, 1, 2, 5, 6, 9, 10, 20, 21, 22, 30]


def copied(source: Path, target: Path) -> Path:
    """A video's frames written to another file."""
    video = open_video(source)
    with VideoWriter.like(target, video) as writer:
        for frame in video:
            writer.write(*frame)
    return target


@pytest.mark.parametrize("suffix", KINDS)
def test_frames_and_their_times_are_read(tmp_path: Path, suffix: str) -> None:
    video = open_video(make_video(tmp_path / f"a{suffix}"))
    assert (video.size, video.rate, video.expected, video.sound) == (SIZE, 25, 20, 1)
    frames = list(video)
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(20)]
    for number, frame in enumerate(frames):
        assert frame.pixels.dtype == np.uint8
        difference = frame.pixels.astype(int) - frame_pixels(number)
        assert np.abs(difference).mean() < 2
    assert len(list(video)) == 20  # it can be read again


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("sounds", [0, 1, 2])
def test_a_copy_has_the_frames_times_size_and_sound(
    tmp_path: Path, suffix: str, sounds: int
) -> None:
    source = make_video(tmp_path / f"a{suffix}", sounds=sounds)
    target = copied(source, tmp_path / f"b{suffix}")
    before, after = open_video(source), open_video(target)
    assert (after.size, after.rate, after.expected) == (before.size, 25, 20)
    for one, other in zip(before, after, strict=True):
        assert one.time == other.time
        np.testing.assert_allclose(one.pixels.astype(int), other.pixels, atol=6)
    packets = sound_packets(source)
    assert len(packets) == sounds and all(packets)
    assert sound_packets(target) == packets
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize("suffix", KINDS)
def test_uneven_times_are_kept(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / f"a{suffix}", UNEVEN)
    times = [frame.time for frame in open_video(copied(source, tmp_path / f"b{suffix}"))]
    assert times == [Fraction(time, 25) for time in UNEVEN]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("times", "held"),
    [
        ([0, 1, 2], 4),
        (range(12), 4),
        ([0, 1, 2, 10], 4),
        ([3, 4, 4.2, 4.4, 9], 4),
        ([0, 5, 6, 7, 8], 1),
        ([0, 5, 5.5, 6, 6.5, 7, 7.5, 8], 0.5),
    ],
)
def test_the_last_frame_is_held_as_long_as_it_was(
    tmp_path: Path, suffix: str, times: Sequence[float], held: float
) -> None:
    seconds = [Fraction(time).limit_denominator(10) for time in times]
    first = tmp_path / f"a{suffix}"
    with VideoWriter(first, SIZE, Fraction(1), time_base=Fraction(1, 1000)) as writer:
        for number, time in enumerate(seconds):
            writer.write(frame_pixels(number), time, Fraction(held))
    for name in ("a", "b", "c"):  # and over passes
        video = open_video(tmp_path / f"{name}{suffix}")
        frames = list(video)
        assert [frame.time for frame in frames] == seconds
        assert frames[-1].duration == held
        with av.open(str(video.path)) as container:
            assert (
                container.duration == (seconds[-1] + Fraction(held) - _shift(container)) * 1_000_000
            )
        copied(video.path, tmp_path / f"{chr(ord(name) + 1)}{suffix}")


def _shift(container: Any) -> Fraction:
    """What a container's duration leaves out before the first frame."""
    matroska = "matroska" in container.format.name
    return Fraction(0) if matroska else Fraction(container.start_time, 1_000_000)


def test_the_last_frame_of_another_program_is_held(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = SIZE
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number), format="rgb24")
            frame.pts, frame.time_base = number * 25, Fraction(1, 25)
            for packet in stream.encode(frame):
                packet.duration = 100 if number == 2 else 25
                container.mux(packet)
    video = open_video(tmp_path / "a.mp4")
    assert [(f.time, f.duration) for f in video] == [(0, 1), (1, 1), (2, 4)]
    with av.open(str(copied(video.path, tmp_path / "b.mp4"))) as container:
        assert container.duration == 6_000_000


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_videos_come_upright(tmp_path: Path, rotation: int) -> None:
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write the rotation")
    stored = [frame.pixels for frame in open_video(make_video(tmp_path / "a.mp4"))]
    source = make_video(tmp_path / "turned.mp4", rotation=rotation)
    video = open_video(source)
    turned = [frame.pixels for frame in video]
    assert video.size == (SIZE if rotation == 180 else SIZE[::-1])
    for one, other in zip(stored, turned, strict=True):  # counter-clockwise, as av says it
        np.testing.assert_array_equal(np.rot90(one, rotation // 90), other)
    again = open_video(copied(source, tmp_path / "b.mp4"))
    assert again.size == video.size and not again.orientation.transposed
    np.testing.assert_allclose(next(iter(again)).pixels.astype(int), turned[0], atol=6)


@pytest.mark.parametrize("size", [(33, 47), (1, 1), (16, 17), (3, 2)])
@pytest.mark.parametrize("suffix", KINDS)
def test_odd_sizes_are_kept(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    colour = (200, 50, 20)
    with VideoWriter(tmp_path / f"a{suffix}", size, Fraction(30)) as writer:
        for _ in range(3):
            writer.write(np.full((*size, 3), colour, np.uint8))
    video = open_video(tmp_path / f"a{suffix}")
    frames = [frame.pixels for frame in video]
    assert video.size == size and len(frames) == 3
    np.testing.assert_allclose(frames[0].astype(int), np.full((*size, 3), colour), atol=3)


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
def test_colours_survive_and_are_tagged(tmp_path: Path, height: int, matrix: int) -> None:
    with VideoWriter(tmp_path / "a.mp4", (height, 32), Fraction(25)) as writer:
        writer.write(np.full((height, 32, 3), (20, 180, 60), np.uint8))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == matrix
    pixels = next(iter(open_video(tmp_path / "a.mp4"))).pixels
    np.testing.assert_allclose(pixels[5, 5].astype(int), (20, 180, 60), atol=3)


def test_grey_frames_can_be_written(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mkv", (16, 16), Fraction(25)) as writer:
        writer.write(np.full((16, 16), 90, np.uint8))
        with pytest.raises(ValueError, match="expected"):
            writer.write(np.full((16, 18, 3), 90, np.uint8))
    np.testing.assert_allclose(next(iter(open_video(tmp_path / "a.mkv"))).pixels, 90, atol=1)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi", ".mp4"])
def test_a_video_that_was_cut_off_says_where(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "faststart"} if suffix == ".mp4" else None
    whole = make_video(tmp_path / f"a{suffix}", range(40), options=options)
    cut = cut_file(whole, 0.6)
    frames = []
    with pytest.raises(VideoCut, match=rf"a-cut\{suffix} stops decoding after frame") as caught:
        frames.extend(open_video(cut))
    assert 0 < len(frames) < 40 and caught.value.frames == len(frames)
    assert clock(frames[-1].time + Fraction(1, 25)) in caught.value.message


def test_what_was_written_before_the_cut_is_a_video(tmp_path: Path) -> None:
    cut = cut_file(make_video(tmp_path / "a.mkv", range(40)), 0.6)
    with pytest.raises(VideoCut) as caught:
        copied(cut, tmp_path / "b.mkv")
    assert len(list(open_video(tmp_path / "b.mkv"))) == caught.value.frames
    end = Fraction(caught.value.frames, 25)
    assert all(time <= end for time, _ in sound_packets(tmp_path / "b.mkv")[0])


def test_an_interrupted_video_is_playable_and_one_without_frames_is_not_there(
    tmp_path: Path,
) -> None:
    video = open_video(make_video(tmp_path / "a.mp4"))
    for stop, name in ((7, "b.mp4"), (0, "c.mp4")):
        with (
            pytest.raises(KeyboardInterrupt),
            VideoWriter.like(tmp_path / name, video) as writer,
        ):
            for number, frame in enumerate(video):
                if number == stop:
                    raise KeyboardInterrupt
                writer.write(*frame)
    assert len(list(open_video(tmp_path / "b.mp4"))) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "the file is empty"), (b"hello " * 99, "not a video")]
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(NasRestoreError, match=message):
        open_video(tmp_path / "a.mp4")


def test_missing_folders_and_sound_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NasRestoreError, match="no such file"):
        open_video(tmp_path / "a.mp4")
    with pytest.raises(NasRestoreError, match="it is a folder"):
        open_video(tmp_path)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), "s16", "stereo")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
    with pytest.raises(NasRestoreError, match="no video stream"):
        open_video(tmp_path / "a.mkv")


def test_sound_that_a_container_does_not_take_is_named(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4")
    with pytest.raises(NasRestoreError, match=r"aac does not go into webm") as caught:
        copied(source, tmp_path / "b.webm")
    assert caught.value.hint is not None and ".mkv" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(NasRestoreError, match=r"'\.xyz' names no video format"):
        copied(source, tmp_path / "b.xyz")


def test_what_is_written_for_what_is_read() -> None:
    names = ("a.MP4", "a.mov", "a.m4v", "a.gif", "a.ts", "a.webm")
    assert [written_suffix(Path(name)) for name in names] == [
        ".mp4", ".mov", ".mp4", ".mp4", ".mkv", ".webm",
    ]  # fmt: skip


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", range(200))
    peaks = []
    for frames in (20, 200):
        tracemalloc.start()
        video = open_video(source)
        with VideoWriter.like(tmp_path / "b.mkv", video) as writer:
            for number, frame in enumerate(video):
                if number < frames:
                    writer.write(*frame)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20 * SIZE[0] * SIZE[1] * 3
