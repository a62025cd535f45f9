"""Clips on disk: each layout found by looking, and what is wrong with them said in one message."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_clips import frame, put_clip, put_pairs

from nasrestore.data.clip_layouts import (
    CLIP_LAYOUTS,
    has_clip_subset,
    open_clip_folders,
    open_clips,
)
from nasrestore.data.clip_sources import clean_clips
from nasrestore.data.clips import clips_below, frames_of
from nasrestore.errors import NasRestoreError


def complex25(root: Path) -> None:
    for number, name in enumerate(("0001", "0002")):
        put_clip(root / name, number, name="gtc-{}.jpg")
        put_clip(root / name, 10 + number, name="rfc-{}.jpg")


def light25(root: Path) -> None:
    for number, name in enumerate(("1", "2")):
        put_clip(root / "processed" / name, number, name="{}.png")
        put_clip(root / "input" / name, 10 + number, name="{}.png")


def nturain_train(root: Path) -> None:
    put_clip(root / "t1_GT", 1, name="{:05d}.jpg")
    for version in (1, 2):
        put_clip(root / f"t1_Rain_0{version}", 10 + version, name="{:05d}.jpg")


def nturain_test(root: Path) -> None:
    for name in ("a1", "b2"):
        put_clip(root / f"{name}_GT", 1, name="{:05d}.jpg")
        put_clip(root / f"{name}_Rain", 2, name="{:05d}.jpg")
    put_clip(root / "ra1_Rain", 3, name="{:05d}.jpg")


def all100(root: Path) -> None:
    put_clip(root / "GT" / "001", 1, name="{:08d}.png")
    put_clip(root / "Rain" / "001", 2, name="{:08d}.png")


@pytest.mark.parametrize(
    ("name", "make", "identities", "names"),
    [
        ("rain_syn_complex25", complex25, ["0001", "0002"], ["0001", "0002"]),
        (
            "rain_syn_light25",
            light25,
            ["processed/1", "processed/2"],
            ["input/1", "input/2"],
        ),
        ("nturain", nturain_train, ["t1_GT"], ["t1_Rain_01", "t1_Rain_02"]),
        ("nturain", nturain_test, ["a1_GT", "b2_GT"], ["a1_Rain", "b2_Rain"]),
        ("rain_syn_all100", all100, ["GT/001"], ["Rain/001"]),
        ("clip_folders", put_pairs, [f"norain/{n}" for n in "abcd"], [f"rain/{n}" for n in "abcd"]),
    ],
)
def test_layouts_are_found_by_looking_and_by_name(
    tmp_path: Path,
    name: str,
    make: Callable[[Path], object],
    identities: list[str],
    names: list[str],
) -> None:
    root = tmp_path / "set"
    make(root)
    for layout in ("auto", name):
        found = open_clips(root, layout)
        assert found.layout == name
        assert found.identities == [f"set/{identity}" for identity in identities]
        assert [pair.name for pair in found.pairs] == [f"set/{one}" for one in names]
        assert {len(clip) for pair in found.pairs for clip in (pair.rainy, pair.clean)} == {7}
    some = found.select([found.identities[0]])
    assert some.identities == found.identities[:1]


def test_light25_as_published_is_not_taken_for_complex25(tmp_path: Path) -> None:
    complex25(tmp_path / "frames_light_test_JPEG")
    for layout in ("rain_syn_light25", "auto"):
        found = open_clips(tmp_path, layout, "test")
        assert found.layout == "rain_syn_light25" and len(found) == 2
    assert open_clips(tmp_path / "frames_light_test_JPEG").layout == "rain_syn_light25"
    assert "has 25 clips for test, here are 2" in found.notes[1]
    assert has_clip_subset(tmp_path, "test") and not has_clip_subset(tmp_path, "train")
    assert open_clips(tmp_path / "frames_light_test_JPEG", "rain_syn_light25").identities == [
        "frames_light_test_JPEG/0001",
        "frames_light_test_JPEG/0002",
    ]


def test_input_and_gt_may_be_anybodys(tmp_path: Path) -> None:
    put_clip(tmp_path / "input/1", 1)
    put_clip(tmp_path / "gt/1", 2)
    assert open_clips(tmp_path).layout == "clip_folders"
    assert open_clips(tmp_path, "rain_syn_light25").layout == "rain_syn_light25"


def test_real_rain_is_left_out_aloud(tmp_path: Path) -> None:
    nturain_test(tmp_path)
    notes = open_clips(tmp_path).notes
    assert notes[1] == "left out, as real rain has no clean frames: ra1_Rain"


def test_frames_are_paired_by_number(tmp_path: Path) -> None:
    complex25(tmp_path / "x")
    pair = open_clips(tmp_path / "x").pairs[0]
    assert [file.name for file in pair.rainy.files] == [f"rfc-{n}.jpg" for n in range(1, 8)]
    assert [file.name for file in pair.clean.files] == [f"gtc-{n}.jpg" for n in range(1, 8)]


def test_two_folders_of_clips_and_a_single_clip(tmp_path: Path) -> None:
    put_pairs(tmp_path)
    found = open_clip_folders(tmp_path / "rain", tmp_path / "norain")
    assert found.identities == [f"norain/{n}" for n in "abcd"]
    assert [pair.name for pair in found.pairs] == list("abcd")
    (one,) = open_clip_folders(tmp_path / "rain" / "a", tmp_path / "norain" / "a").pairs
    assert (one.name, len(one.rainy)) == ("a", 7)
    np.testing.assert_array_equal(next(frames_of(one.rainy)), frame(100, 1))


def test_clean_clips_are_folders_and_videos(tmp_path: Path) -> None:
    from made_videos import make_video

    put_clip(tmp_path / "deep" / "one")
    make_video(tmp_path / "two.mp4", range(4), sounds=0)
    found = clean_clips(tmp_path)
    assert [clip.identity for clip in found] == [
        f"{tmp_path.name}/deep/one",
        f"{tmp_path.name}/two",
    ]
    assert [len(list(clip.frames())) for clip in found] == [7, 4]


def test_pairs_of_videos(tmp_path: Path) -> None:
    from made_videos import make_video

    for part in ("rain", "norain"):
        (tmp_path / part).mkdir()
        make_video(tmp_path / part / "x.mp4", range(4), sounds=0)
    found = open_clips(tmp_path)
    assert (found.layout, found.identities) == ("clip_videos", [f"{tmp_path.name}/norain/x"])
    assert found.pairs[0].clean.size == (48, 64)


def missing_frame(root: Path) -> None:
    (root / "rain/b/00004.png").unlink()


def changing_size(root: Path) -> None:
    put_clip(root / "rain/b", 1, [4], size=(20, 30))


def other_size(root: Path) -> None:
    put_clip(root / "rain/b", 1, size=(20, 30))


def other_length(root: Path) -> None:
    (root / "rain/b/00007.png").unlink()


def other_numbers(root: Path) -> None:
    (root / "rain/b/00001.png").rename(root / "rain/b/00008.png")


def no_partner(root: Path) -> None:
    shutil.move(root / "rain/b", root / "rain/z")


def two_of_a_number(root: Path) -> None:
    put_clip(root / "rain/b", 1, [3], "{:04d}.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing_frame, r"rain/b: 1 frame missing between 00001.png and 00007.png: 4"),
        (changing_size, r"b/00004.png is 30x20, the frames before it are 28x20"),
        (other_size, r"rain/b is 30x20, its clean clip .*norain/b 28x20"),
        (other_length, r"rain/b has 6 frames, its clean clip .*b 7: 00007.png in b alone"),
        (other_numbers, r"00008.png in b alone; 00001.png in b alone"),
        (no_partner, r"z without clean frames and b without rainy frames"),
        (two_of_a_number, r"are both frame 3"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(put_pairs(tmp_path))
    with pytest.raises(NasRestoreError, match=message):
        open_clips(tmp_path)
    with pytest.raises(NasRestoreError):
        open_clip_folders(tmp_path / "rain", tmp_path / "norain")


def test_all_clips_that_are_wrong_are_in_one_message(tmp_path: Path) -> None:
    put_pairs(tmp_path)
    for name in "abc":
        (tmp_path / f"rain/{name}/00004.png").unlink()
    with pytest.raises(NasRestoreError, match="3 clips cannot be used"):
        open_clips(tmp_path)


def test_what_is_not_there_is_said_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NasRestoreError, match="no pairs of clips found") as error:
        open_clips(tmp_path)
    assert all(name in str(error.value) for name in CLIP_LAYOUTS)
    with pytest.raises(NasRestoreError, match="unknown layout of clips 'nturian'") as error:
        open_clips(tmp_path, "nturian")
    assert error.value.hint == "did you mean 'nturain'?"
    with pytest.raises(NasRestoreError, match="no such folder"):
        open_clips(tmp_path / "gone")
    with pytest.raises(NasRestoreError, match="no clip in"):
        clips_below(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(NasRestoreError, match="holds train: say which"):
        open_clips(tmp_path)
    put_pairs(tmp_path)
    with pytest.raises(NasRestoreError, match="the same folder"):
        open_clip_folders(tmp_path / "rain", tmp_path / "rain")
    put_clip(tmp_path / "rain" / "e", 9)
    with pytest.raises(NasRestoreError, match=r"clips without partner: e in .*rain alone"):
        open_clip_folders(tmp_path / "rain", tmp_path / "norain")


@pytest.mark.shared
def test_real_clips(real_data: Path) -> None:
    found = open_clips(real_data / "ntu")
    assert (found.layout, len(found)) == ("nturain", 1)
    assert len(found.pairs[0].clean) == 84 and found.pairs[0].clean.size == (480, 640)
    clean = clean_clips(real_data / "clips")
    assert [clip.length for clip in clean] == [60, 7]
