"""Clips in segments: a partition of their frames, and no window that looks beyond its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_clips import put_clip, put_pairs

from nasrestore.data import rain
from nasrestore.data.clip_layouts import open_clips
from nasrestore.data.clip_patches import ClipStream
from nasrestore.data.clip_sources import clean_clips
from nasrestore.data.clipset import ClipSet
from nasrestore.data.segments import segment_name, segments


@given(st.integers(0, 500), st.integers(1, 60))
def test_segments_partition_the_frames(length: int, frames: int) -> None:
    parts = segments(length, frames)
    assert [number for part in parts for number in part] == list(range(length))
    assert all(len(part) == frames for part in parts[:-1])
    assert min(frames, length) <= len(parts[-1]) < 2 * frames


def test_segments_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        segments(10, 0)


def test_a_name_counts_from_one() -> None:
    names = [segment_name("set/norain/a", part) for part in segments(47, 15)]
    assert names == ["set/norain/a@1-15", "set/norain/a@16-30", "set/norain/a@31-47"]


@pytest.fixture(params=["memory", "disk"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> ClipSet:
    """Two clips of eleven frames, and one of five."""
    put_pairs(tmp_path, clips=2, length=11)
    for part, seed in (("rain", 102), ("norain", 2)):
        put_clip(tmp_path / part / "c", seed, range(1, 6))
    limit = 2**30 if request.param == "memory" else 0
    return ClipSet.from_pairs(open_clips(tmp_path), window=3, limit_bytes=limit)


def test_segments_are_the_clips_cut(whole: ClipSet) -> None:
    cut = whole.in_segments(4)
    a, b, c = dict.fromkeys(whole.identities)
    expected = [f"{clip}@{part}" for clip in (a, b) for part in ("1-4", "5-11")]
    assert cut.identities == [*expected, c]
    assert [name.rpartition("/")[2] for name in cut.names] == [
        "a@1-4", "a@5-11", "b@1-4", "b@5-11", "c",
    ]  # fmt: skip
    assert cut.lengths == [4, 7, 4, 7, 5] and cut.bytes == whole.bytes
    for number in range(2):
        for part in range(2):
            joined = torch.cat([cut.clip(2 * number + i)[part] for i in range(2)])
            assert torch.equal(joined, whole.clip(number)[part])
    assert cut.clip(0)[0].data_ptr() == whole.clip(0)[0].data_ptr()  # nothing is copied
    assert len(whole) == 3


def test_no_window_reaches_beyond_its_segment(whole: ClipSet) -> None:
    """Every frame of the clip is told by its content, and so is the segment that it is of."""
    cut = whole.in_segments(4)
    owner = {
        (int(index >= 2), frame.numpy().tobytes()): index
        for index in range(len(cut))
        for frame in cut.clip(index)[0]
    }
    windows = 0
    for index, length in enumerate(cut.lengths):
        for centre in range(length):
            if not 1 <= centre < length - 1:
                with pytest.raises(IndexError):
                    cut.window_at(index, centre)
                continue
            window, target, _ = cut.window_at(index, centre)
            assert {owner[int(index >= 2), f.numpy().tobytes()] for f in window} == {index}
            assert torch.equal(target, cut.clip(index)[1][centre])
            windows += 1
    assert windows == sum(length - 2 for length in cut.lengths)
    stream = ClipStream(cut, patch=8, batch=1)
    assert len(stream) == windows


def test_segments_have_the_flow_of_their_windows_before_or_after(whole: ClipSet) -> None:
    def of(clip: torch.Tensor) -> torch.Tensor:
        return (clip.mean((2, 3, 4), keepdim=True) - clip[:, 1:2].mean()).expand(
            -1, -1, 2, *clip.shape[3:]
        )

    cut = whole.in_segments(4)
    cut.add_flow(of)
    whole.add_flow(of)
    again = whole.in_segments(4)
    for index, length in enumerate(cut.lengths):
        for centre in range(1, length - 1):
            one, other = (clips.window_at(index, centre)[2] for clips in (cut, again))
            assert one is not None and other is not None and torch.equal(one, other)


def test_rain_falls_on_through_the_segments_of_a_clip(tmp_path: Path) -> None:
    put_clip(tmp_path / "a", 1, range(1, 9))
    whole = ClipSet.with_rain(clean_clips(tmp_path), rain.heavy, variants=2)
    cut = whole.in_segments(3)
    assert [name.rpartition("/")[2] for name in cut.names] == [
        "a-1@1-3", "a-1@4-8", "a-2@1-3", "a-2@4-8",
    ]  # fmt: skip
    assert torch.equal(torch.cat([cut.clip(2)[0], cut.clip(3)[0]]), whole.clip(1)[0])
    assert len(cut.fingerprints()) == 2 and cut.bytes == whole.bytes


def test_segments_hold_a_window(whole: ClipSet) -> None:
    with pytest.raises(ValueError, match="segments of 2 frames hold no window of 3"):
        whole.in_segments(2)
