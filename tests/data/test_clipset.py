"""Clips decoded once: memory and disk give the same, whatever is asked for."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from made_clips import SIZE, frame, put_clip, put_pairs

from nasrestore.data import clip_store, rain
from nasrestore.data.clip_layouts import open_clips
from nasrestore.data.clip_sources import MovedPhotograph, clean_clips
from nasrestore.data.clip_store import ClipStore
from nasrestore.data.clipset import ClipSet
from nasrestore.data.imageset import to_pixels
from nasrestore.data.samples import Photograph
from nasrestore.data.sketch import sketch
from nasrestore.data.split import content_hash
from nasrestore.data.whole import full_clips
from nasrestore.errors import NasRestoreError


@pytest.fixture(params=["memory", "disk"])
def limit(request: pytest.FixtureRequest) -> int:
    return 2**30 if request.param == "memory" else 0


def test_frames_are_what_the_files_hold(tmp_path: Path, limit: int) -> None:
    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path)), limit_bytes=limit)
    assert clips.in_memory == (limit > 0) == (clips.on_disk is None)
    assert (len(clips), clips.sizes, clips.lengths) == (4, [SIZE] * 4, [7] * 4)
    assert clips.bytes == 4 * 2 * 7 * 3 * 20 * 28
    for index in range(4):
        rainy, clean = clips.clip(index)
        for number in range(7):
            np.testing.assert_array_equal(to_pixels(rainy[number]), frame(100 + index, number + 1))
            np.testing.assert_array_equal(to_pixels(clean[number]), frame(index, number + 1))


def test_a_window_has_its_frames_and_the_clean_centre(tmp_path: Path, limit: int) -> None:
    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path)), window=3, limit_bytes=limit)
    window, target, flow = clips.window_at(1, 4)
    assert flow is None
    np.testing.assert_array_equal(to_pixels(window[0]), frame(101, 4))
    np.testing.assert_array_equal(to_pixels(window[2]), frame(101, 6))
    np.testing.assert_array_equal(to_pixels(target), frame(1, 5))
    for centre in (0, 6):
        with pytest.raises(IndexError):
            clips.window_at(0, centre)


def test_the_folder_on_disk_goes_with_the_last_that_reads_it(tmp_path: Path) -> None:
    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path)), limit_bytes=0)
    folder = clips.on_disk
    assert folder is not None
    assert len(list(folder.iterdir())) == (8 if os.name == "nt" else 0)  # their names are gone
    part = clips.select(clips.identities[:1])
    del clips
    gc.collect()
    assert folder.is_dir() and len(part) == 1
    del part
    gc.collect()
    assert not folder.exists()


KEEPS_CLIPS = """
import os, signal, sys
import numpy as np
import torch
from nasrestore.data.clip_store import ClipStore

store = ClipStore(torch.device("cpu"), on_disk=True)
kept = [store.put(np.full((40, 50, 3), n, np.uint8) for n in range(clip, clip + 4)) for clip in (0, 9)]
assert [int(clip[3, 39, 49, 2]) for clip in kept] == [3, 12]

def frames():
    yield np.zeros((40, 50, 3), np.uint8)
    os.kill(os.getpid(), signal.SIGKILL)

store.put(frames())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the names of files that are open")
def test_a_killed_process_leaves_no_decoded_clips(tmp_path: Path) -> None:
    code = [sys.executable, "-c", KEEPS_CLIPS]
    done = subprocess.run(code, env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["000003.raw"]  # the one that was being written


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the names of files that are open")
def test_clips_that_cannot_be_kept_leave_no_file(tmp_path: Path) -> None:
    store = ClipStore(torch.device("cpu"), on_disk=True)
    uneven = [np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)]
    with pytest.raises(ValueError, match="frames of one shape"):
        store.put(uneven)
    assert store.folder is not None and list(store.folder.iterdir()) == []


def test_versions_share_their_clean_clip(tmp_path: Path) -> None:
    put_clip(tmp_path / "t1_GT", 1)
    for version in (1, 2):
        put_clip(tmp_path / f"t1_Rain_{version}", 1 + version)
    clips = ClipSet.from_pairs(open_clips(tmp_path))
    assert clips.identities == [f"{tmp_path.name}/t1_GT"] * 2 and len(set(clips.names)) == 2
    assert clips.clip(0)[1] is clips.clip(1)[1]
    assert clips.bytes == 3 * 7 * 3 * 20 * 28


def test_synthetic_rain_is_a_function_of_seed_name_and_variant(tmp_path: Path, limit: int) -> None:
    for name in "ab":
        put_clip(tmp_path / name, 1)

    def made(**more: object) -> ClipSet:
        return ClipSet.with_rain(clean_clips(tmp_path), rain.medium, limit_bytes=limit, **more)

    two, again, other = made(variants=2), made(variants=2), made(variants=2, seed=1)
    for index in range(4):
        assert torch.equal(two.clip(index)[0], again.clip(index)[0])
        assert not torch.equal(two.clip(index)[0], other.clip(index)[0])
    assert len({clip.numpy().tobytes() for clip in (two.clip(i)[0] for i in range(4))}) == 4
    one = ClipSet.with_rain(clean_clips(tmp_path)[1:], rain.medium)
    assert torch.equal(one.clip(0)[0], two.clip(2)[0])


def test_recoloured_versions_have_clean_clips_of_their_own(tmp_path: Path) -> None:
    put_clip(tmp_path / "a", 1)
    clips = ClipSet.with_rain(clean_clips(tmp_path), rain.light, variants=2, recolour=True)
    (_, plain), (_, coloured) = clips.clip(0), clips.clip(1)
    np.testing.assert_array_equal(to_pixels(plain[0]), frame(1, 1))
    assert not torch.equal(plain, coloured)


def test_a_moved_photograph_moves_under_rain(tmp_path: Path) -> None:
    put_clip(tmp_path, 1, [1], size=(60, 80))
    clip = MovedPhotograph(Photograph("p/1", tmp_path / "00001.png"), 5, (32, 40), seed=3)
    clips = ClipSet.with_rain([clip], rain.light, window=5)
    assert (clips.sizes, clips.lengths) == ([(32, 40)], [5])
    _, clean = clips.clip(0)
    assert not torch.equal(clean[0], clean[4])
    small = MovedPhotograph(Photograph("p/1", tmp_path / "00001.png"), 5, (64, 40), seed=3)
    with pytest.raises(NasRestoreError, match="80x60: it shows no frames of 40x64"):
        ClipSet.with_rain([small], rain.light)


def test_clips_shorter_than_the_window_are_named(tmp_path: Path) -> None:
    put_pairs(tmp_path, clips=2, length=4)
    with pytest.raises(NasRestoreError, match="rain/a has 4 frames, the network reads 5") as error:
        ClipSet.from_pairs(open_clips(tmp_path), window=5)
    assert "2 clips cannot be used" in str(error.value)
    with pytest.raises(ValueError, match="odd number"):
        ClipSet.from_pairs(open_clips(tmp_path), window=2)


def test_videos_of_two_lengths_are_found_when_decoded(tmp_path: Path, limit: int) -> None:
    from made_videos import make_video

    for part, length in (("rain", 6), ("norain", 5)):
        (tmp_path / part).mkdir()
        make_video(tmp_path / part / "x.mp4", range(length), sounds=0)
    with pytest.raises(NasRestoreError, match=r"rain/x has 6 frames, its clean clip .*norain/x 5"):
        ClipSet.from_pairs(open_clips(tmp_path), limit_bytes=limit)


def test_a_torn_frame_and_a_full_disk_are_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_pairs(tmp_path, clips=2)
    pairs = open_clips(tmp_path)

    def full(*arguments: object) -> Iterator[object]:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(clip_store, "open", full, raising=False)
        with pytest.raises(NasRestoreError, match="No space left on device") as error:
            ClipSet.from_pairs(pairs, limit_bytes=0)
    assert "TMPDIR" in (error.value.hint or "")
    assert error.value.message.startswith("cannot keep decoded clips")  # once, not for each clip
    torn = tmp_path / "rain/a/00003.png"
    torn.write_bytes(torn.read_bytes()[:200])
    with pytest.raises(NasRestoreError, match=r"00003\.png"):
        ClipSet.from_pairs(pairs)


def test_every_clean_frame_is_compared_but_those_of_one_colour(tmp_path: Path) -> None:
    put_pairs(tmp_path, clips=2)
    from nasrestore.data.images import write_image

    black = np.zeros((*SIZE, 3), np.uint8)
    write_image(tmp_path / "norain/a/00001.png", black)
    clips = ClipSet.from_pairs(open_clips(tmp_path))
    one, other = clips.fingerprints()
    assert [one.identity, other.identity] == clips.identities
    assert other.contents == tuple(content_hash(frame(1, n)) for n in range(1, 8))
    assert one.contents == tuple(content_hash(frame(0, n)) for n in range(2, 8))
    assert one.sketch is not None
    np.testing.assert_array_equal(one.sketch, sketch(frame(0, 4)))
    assert all(found.sketch is None for found in clips.fingerprints(sketched=False))


def offset_flow(clip: torch.Tensor) -> torch.Tensor:
    """A made-up flow: the mean of each frame's red and green, 0.5 apart, zero in the centre."""
    flow = clip[:, :, :2].mean((3, 4), keepdim=True).expand(-1, -1, -1, *clip.shape[3:]).clone()
    flow[:, clip.shape[1] // 2] = 0
    return flow


@pytest.mark.parametrize("limit", [2**30, 4 * 2 * 7 * 3 * 20 * 28, 0])
def test_flow_is_computed_once_of_whole_rainy_frames(tmp_path: Path, limit: int) -> None:
    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path)), window=3, limit_bytes=limit)
    seen: list[tuple[int, int]] = []
    part = clips.select(clips.identities[2:])
    clips.add_flow(offset_flow, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 20) for n in range(1, 21)]
    window, _, flow = part.window_at(0, 4)
    assert flow is not None and flow.dtype == torch.float16
    expected = offset_flow(window[None].float() / 255)[0]
    torch.testing.assert_close(flow.float(), expected, atol=1e-3, rtol=0)


def test_no_flow_is_zero_and_takes_no_room(tmp_path: Path) -> None:
    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path)), window=5)
    clips.add_flow(None)
    flow = clips.window_at(0, 3)[2]
    assert flow is not None and flow.shape == (5, 2, 20, 28) and not flow.any()


def test_flow_of_small_frames_is_one_message_that_names_the_clip(tmp_path: Path) -> None:
    def refuse(clip: torch.Tensor) -> torch.Tensor:
        raise NasRestoreError("optical flow got frames of 20x28 pixels")

    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path)), window=3)
    with pytest.raises(NasRestoreError, match="rain/a: optical flow got frames of 20x28"):
        clips.add_flow(refuse)


def test_whole_clips_come_as_often_as_wanted(tmp_path: Path) -> None:
    clips = ClipSet.from_pairs(open_clips(put_pairs(tmp_path, clips=1)))
    (clip,) = full_clips(clips)
    assert (clip.name, clip.length) == (f"{tmp_path.name}/rain/a", 7)
    for _ in range(2):
        np.testing.assert_array_equal(list(clip.rainy), [frame(100, n) for n in range(1, 8)])


@pytest.mark.shared
def test_real_frames_in_memory_and_on_disk(real_data: Path) -> None:
    pairs = open_clips(real_data / "ntu")
    one, other = (ClipSet.from_pairs(pairs, window=5, limit_bytes=n) for n in (2**30, 0))
    assert all(torch.equal(a, b) for a, b in zip(one.clip(0), other.clip(0), strict=True))
