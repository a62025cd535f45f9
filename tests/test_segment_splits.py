"""A long clip trains in segments: dealt apart, said aloud, beside test clips that are whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_clip_runs import prepared, put_pairs
from made_videos import make_video

from nasrestore.api.doctor import data_findings
from nasrestore.assemble.data import Splits, open_splits
from nasrestore.data.clipset import ClipSet
from nasrestore.errors import NasRestoreError, SpecError

CUT = {"data.clip": {"segment": 10}, "data.overlap": "accepted"}


def splits(**values: object) -> Splits:
    found = prepared(**values)
    return open_splits(found.recipe, torch.device("cpu"), graph=found.graph)


@pytest.fixture
def long(tmp_path: Path) -> dict[str, object]:
    """One sequence of 45 frames to train on, two short ones to test by."""
    put_pairs(tmp_path / "long", 1, frames=45)
    put_pairs(tmp_path / "theirs", 3)
    for part in ("rain", "norain"):  # the first is the long one's beginning
        (tmp_path / "theirs" / part / "00").rename(tmp_path / f"{part}-left-out")
    return {"data.root": str(tmp_path / "long"), "data.test_root": str(tmp_path / "theirs")}


def test_one_clip_is_dealt_in_segments(long: dict[str, object]) -> None:
    found = splits(**long, **CUT)
    found.check_disjoint()
    names = [name for split in ("train", "validation") for name in found.members[split]]
    assert sorted(names) == [
        f"long/norain/00@{part}" for part in ("1-10", "11-20", "21-30", "31-45")
    ]
    assert found.members["test"] == ["theirs/norain/01", "theirs/norain/02"]
    train, validation, test = found.train, found.validation, found.test
    assert isinstance(train, ClipSet) and isinstance(validation, ClipSet)
    assert sum(train.lengths) + sum(validation.lengths) == 45
    assert isinstance(test, ClipSet) and test.lengths == [5, 5]
    stream = found.stream(found._recipe.search.levels[0], 3)
    seen = {name for _ in range(8) for name in next(stream).identities}
    assert seen <= set(found.members["train"])


def test_what_they_share_is_said_once_a_clip(long: dict[str, object]) -> None:
    found = splits(**long, **CUT)
    assert found.notes[-1] == (
        "data.clip.segment: 1 clip cut into 4 segments of 10 frames or more; training and validation "
        "share the scenes of long/norain/00: validation looks at scenes that are trained on"
    )
    (leak,) = found.leaks()
    assert {leak.split_a, leak.split_b} == {"train", "validation"}
    assert "is of one clip with long/norain/00@" in str(leak)
    (finding,) = data_findings(found)
    assert finding.kind == "soft" and "train and validation share 1 scene" in finding.sentence
    assert "say so with every figure" in str(finding.advice)


def test_a_test_clip_that_is_trained_on_is_said_as_well(
    long: dict[str, object], tmp_path: Path
) -> None:
    put_pairs(tmp_path / "theirs", 1)  # the first five frames of the long one
    found = splits(**long, **CUT)
    said = [str(leak) for leak in found.leaks()]
    assert len(said) == 2 and "@1-10 in" in said[1]
    assert said[1].endswith("has the same pixels as theirs/norain/00 in test")
    assert any("figures may be of scenes that were trained on" in note for note in found.notes)


def test_whole_clips_are_held_out_before_the_rest_is_cut(tmp_path: Path) -> None:
    put_pairs(tmp_path / "set", 4, frames=20)
    found = splits(**{"data.root": str(tmp_path / "set")}, **CUT)
    found.check_disjoint()
    (held,) = found.members["test"]
    assert "@" not in held and isinstance(found.test, ClipSet) and found.test.lengths == [20]
    trained = [*found.members["train"], *found.members["validation"]]
    assert len(trained) == 6 and not any(name.startswith(held) for name in trained)


def test_clips_that_are_too_short_stay_whole(tmp_path: Path) -> None:
    put_pairs(tmp_path / "set", 4, frames=19)
    plain = splits(**{"data.root": str(tmp_path / "set")})
    found = splits(**{"data.root": str(tmp_path / "set")}, **CUT)
    assert found.members == plain.members and found.leaks() == plain.leaks() == []
    assert found.notes[-1] == "data.clip.segment: no clip has 20 frames or more: none is cut"


def test_videos_are_cut_by_the_frames_they_have(tmp_path: Path) -> None:
    for part in ("rain", "norain"):
        (tmp_path / "set" / part).mkdir(parents=True)
        make_video(tmp_path / "set" / part / "film.mkv", range(25), sounds=0)
    put_pairs(tmp_path / "theirs", 1)
    both = {"data.root": str(tmp_path / "set"), "data.test_root": str(tmp_path / "theirs")}
    found = splits(**both, **CUT)
    found.check_disjoint()
    names = {*found.members["train"], *found.members["validation"]}
    assert names == {"set/norain/film@1-10", "set/norain/film@11-25"}
    assert sorted(found.all.lengths) == [10, 15]  # type: ignore[union-attr]


@pytest.mark.parametrize("layout", ["clean_clips", "photographs"])
def test_clean_clips_and_moved_photographs_are_cut_as_well(tmp_path: Path, layout: str) -> None:
    root = put_pairs(tmp_path / "set", 1, frames=21, side=48) / "norain"
    values = {"data.root": str(root), "data.layout": layout}
    if layout == "photographs":
        values["data.root"] = str(root / "00")
        values["data.limit"] = 2
    values["data.test_root"] = str(put_pairs(tmp_path / "theirs", 2))
    clip = {"length": 21, "height": 24, "width": 24, "segment": 10}
    found = splits(**{**values, **CUT, "data.clip": clip})
    clips = found.all
    assert isinstance(clips, ClipSet) and set(clips.lengths) == {10, 11}
    assert len(clips) == 2 * len({*found.members["train"], *found.members["validation"]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"data.clip": {"segment": 2}, "data.overlap": "accepted"},
            "segments of 2 frames, and space",
        ),
        ({"data.clip": {"segment": 12}}, "segments of one clip show one scene"),
        ({"data.clip": {"segment": 0}, "data.overlap": "accepted"}, "expected an integer >= 1"),
    ],
)
def test_segments_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as error:
        prepared(**values)
    assert message in str(error.value) and "data.clip.segment" in str(error.value)


def test_one_clip_by_itself_is_told_the_way_out(long: dict[str, object]) -> None:
    with pytest.raises(NasRestoreError) as error:
        splits(**long)
    assert error.value.message.startswith("1 clean clip cannot be split into train, validation")
    assert "and there is only " in error.value.message and "/norain/00" in error.value.message
    assert "data.clip.segment=FRAMES with data.overlap=accepted" in str(error.value.hint)
    for more in ({}, CUT):
        with pytest.raises(NasRestoreError) as error:
            splits(**{"data.root": long["data.root"], **more})
        assert error.value.message.startswith("1 clean clip cannot be split into test, rest")
        assert "a test set of its own (data.test_root)" in str(error.value.hint)
    with pytest.raises(NasRestoreError) as error:
        splits(**long, **{**CUT, "data.clip": {"segment": 30}})
    assert "a smaller data.clip.segment" in str(error.value.hint)


def test_nothing_changes_where_nothing_is_cut(tmp_path: Path) -> None:
    root = put_pairs(tmp_path / "set", 6)
    plain = splits(**{"data.root": str(root)})
    again = splits(**{"data.root": str(root), "data.clip": {"length": 9}})
    for found in (plain, again):
        found.check_disjoint()
    assert (plain.members, plain.digest, plain.notes) == (again.members, again.digest, again.notes)
