"""Several calls of ``synthesize`` into one folder, and calls that were killed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_calls import Call
from made_videos import cut_file, make_video

from nasrestore.data.clip_layouts import open_clips
from nasrestore.data.clips import ClipPair, frames_of
from nasrestore.data.frames import open_frames
from nasrestore.data.images import read_image, write_image
from nasrestore.data.layouts import open_pairs
from nasrestore.errors import NasRestoreError


def put(folder: str, names: str, seed: int = 3) -> None:
    generator = np.random.default_rng(seed)
    for name in names.split():
        write_image(Path(folder) / f"{name}.png", generator.integers(0, 255, (24, 32, 3), np.uint8))


def calls() -> list[dict[str, object]]:
    content = json.loads(Path("out/synthesis.json").read_text())
    assert content["format"] == 2
    return content["calls"]


def told() -> list[list[str]]:
    """The names of each call."""
    return [sorted(call["sources"]) for call in calls()]  # type: ignore[call-overload]


def test_clips_and_then_photographs_become_one_set(call: Call) -> None:
    put("walk", "1 2 3")
    put("photos", "a b")
    assert call("synthesize", "walk", "--sequences", "--out", "out", "--seed", 1).status == 0
    before = Path("out/rain/walk/00002.png").read_bytes()
    done = call("synthesize", "photos", "--clips", 3, "--size", "16x20", "--pan", 1, "--out", "out")
    assert done.status == 0 and "clips: 2 of 6 frames" in done.out
    assert [pair.identity for pair in open_clips("out").pairs] == [
        "out/norain/a", "out/norain/b", "out/norain/walk",
    ]  # fmt: skip
    assert Path("out/rain/walk/00002.png").read_bytes() == before
    first, second = calls()
    assert (first["sources"], first["seed"], first["clips"]) == ({"walk": "walk"}, 1, None)
    assert (second["clips"], second["size"], second["pan"]) == (3, [16, 20], 1)
    assert second["sources"] == {"a": "photos/a.png", "b": "photos/b.png"}
    assert first["finished"] is second["finished"] is True


def test_what_is_added_is_what_a_folder_of_its_own_would_hold(call: Call) -> None:
    put("in", "a b")
    assert call("synthesize", "in", "--out", "apart").status == 0
    for name in "ab":
        assert call("synthesize", f"in/{name}.png", "--out", "out").status == 0
    for name in "ab":
        for part in ("rain", "norain"):
            one, other = (Path(out, part, f"{name}.png") for out in ("apart", "out"))
            assert one.read_bytes() == other.read_bytes()
    assert told() == [["a"], ["b"]]


def test_names_that_are_taken_are_refused_and_the_first_of_them_said(call: Call) -> None:
    put("in", "a b c d e f g")
    put("more", "g f x")
    assert call("synthesize", "in", "--out", "out").status == 0
    done = call("synthesize", "more", "--out", "out")
    assert done.status == 2 and "out holds results already: f, g\n" in done.err
    assert not Path("out/rain/x.png").exists() and told() == [list("abcdefg")]
    done = call("synthesize", "in", "--out", "out")
    assert "already: a, b, c, d, e and 2 more" in done.err
    done = call("synthesize", "more", "--clips", 2, "--out", "out")  # as clips: the same names
    assert done.status == 2 and "already: f, g\n" in done.err


def test_overwriting_moves_a_name_to_the_later_call(call: Call) -> None:
    put("in", "a b")
    put("more", "b", seed=5)
    assert call("synthesize", "in", "--out", "out").status == 0
    assert call("synthesize", "more", "--out", "out", "--seed", 9, "--overwrite").status == 0
    assert told() == [["a"], ["b"]] and [one["seed"] for one in calls()] == [0, 9]
    np.testing.assert_array_equal(
        read_image("out/norain/b.png").pixels, read_image("more/b.png").pixels
    )
    assert call("synthesize", "in", "--out", "out", "--overwrite").status == 0
    assert told() == [["a", "b"]]


def test_a_pair_that_becomes_a_clip_is_a_pair_no_more(call: Call) -> None:
    put("in", "a")
    assert call("synthesize", "in", "--out", "out").status == 0
    assert call("synthesize", "in", "--clips", 3, "--out", "out", "--overwrite").status == 0
    assert sorted(path.name for path in Path("out/rain").iterdir()) == ["a"]
    assert len(open_frames("out/norain/a")) == 3
    assert call("synthesize", "in", "--out", "out", "--overwrite").status == 0
    assert [pair.clean.name for pair in open_pairs("out").pairs] == ["a.png"]
    assert not Path("out/rain/a").exists() and not Path("out/norain/a").exists()


def test_what_others_put_there_is_left_to_them(call: Call) -> None:
    put("in", "a")
    put("out/rain", "theirs")
    done = call("synthesize", "in", "--out", "out")
    assert done.status == 2
    assert "out holds what synthesize did not make: rain/theirs.png\n" in done.err
    assert call("synthesize", "in", "--out", "out", "--overwrite").status == 0
    put("more", "b")
    put("out/norain", "late")
    done = call("synthesize", "more", "--out", "out")
    assert done.status == 2 and "did not make: rain/theirs.png, norain/late.png\n" in done.err
    assert Path("out/rain/theirs.png").exists() and told() == [["a"]]


def test_a_folder_of_an_earlier_version_is_known(call: Call) -> None:
    put("in", "a")
    put("more", "b")
    assert call("synthesize", "in", "--out", "out").status == 0
    (only,) = calls()
    old = {"format": 1, **{key: only[key] for key in ("version", "seed", "rain", "sources")}}
    Path("out/synthesis.json").write_text(json.dumps(old))
    assert call("synthesize", "more", "--out", "out").status == 0
    assert told() == [["a"], ["b"]] and calls()[0]["rain"] == only["rain"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 3, "calls": []}', '{"format": 2, "calls": [{}]}', "nul"]
)
def test_a_record_that_cannot_be_read_is_not_lost(call: Call, text: str) -> None:
    put("in", "a")
    Path("out").mkdir()
    Path("out/synthesis.json").write_text(text)
    for more in ((), ("--overwrite",)):
        done = call("synthesize", "in", "--out", "out", *more)
        assert done.status == 2 and "is no record that synthesize can go on with" in done.err
    assert Path("out/synthesis.json").read_text() == text


# -- killed ----------------------------------------------------------------------------------


class Killed(BaseException):
    """Nothing that comes after it is done."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Whatever changes names on the disk works so many times more, and then never again."""
    real = {name: getattr(os, name) for name in ("replace", "unlink", "rmdir")}

    def set_to(steps: int | None) -> None:
        left = [steps]

        def of(name: str) -> Callable[..., object]:
            def step(*places: object, **options: object) -> object:
                # a lock goes with its process
                if left[0] is not None and not str(places[0]).endswith(".lock"):
                    left[0] -= 1
                    if left[0] < 0:
                        raise Killed
                return real[name](*places, **options)

            return step

        for name in real:
            monkeypatch.setattr(os, name, of(name))

    return set_to


def pairs_of(out: str) -> dict[str, list[np.ndarray]]:
    """What readers take for pairs, by name: frames, rainy and clean."""
    found: dict[str, list[np.ndarray]] = {}
    try:
        for pair in open_clips(out, "clip_folders").pairs:
            found[Path(pair.name).name] = _frames(pair)
    except NasRestoreError:
        pass
    for rainy in Path(out, "rain").glob("*.png"):
        clean = Path(out, "norain", rainy.name)
        if clean.exists():
            found[rainy.name] = [read_image(rainy).pixels, read_image(clean).pixels]
    return found


def _frames(pair: ClipPair) -> list[np.ndarray]:
    return [*frames_of(pair.rainy), *frames_of(pair.clean)]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.mark.parametrize("earlier", [None, "clip", "pairs"])
def test_whenever_it_is_killed_a_pair_is_whole(
    call: Call, kill_at: Callable[[int | None], None], earlier: str | None
) -> None:
    put("walk", "1 2")
    put("in", "a")
    given = ("walk", "--sequences"), ("in/a.png",)
    older = {"clip": ("old/walk", "--sequences"), "pairs": ("old/walk.png", "old/a.png")}
    put("old/walk", "1 2 3", seed=7)
    put("old", "walk a", seed=8)
    for number, arguments in enumerate(given):
        assert call("synthesize", *arguments, "--out", f"whole{number}").status == 0
    allowed = [pairs_of("whole0"), pairs_of("whole1")]
    if earlier:
        assert call("synthesize", *older[earlier], "--out", "before").status == 0
        allowed.append(pairs_of("before"))
    finished = steps = 0
    while not finished:
        shutil.rmtree("out", ignore_errors=True)
        if earlier:
            shutil.copytree("before", "out")
        kill_at(steps)
        done = [
            call("synthesize", *arguments, "--out", "out", "--overwrite") for arguments in given
        ]
        kill_at(None)
        finished = all(one.status == 0 for one in done)
        assert finished or "Killed" in done[-1].err
        for name, frames in pairs_of("out").items():
            assert any(same(frames, known.get(name, [])) for known in allowed), (steps, name)
        steps += 1
    assert steps > 15
    assert pairs_of("out").keys() == {"walk", "a.png"}


def test_after_a_kill_others_can_be_added_and_it_is_made_again(
    call: Call, kill_at: Callable[[int | None], None]
) -> None:
    put("in", "a b c")
    put("more", "x")
    kill_at(6)  # the record, both parts of a, one of b
    assert "Killed" in call("synthesize", "in", "--out", "out").err
    kill_at(None)
    assert [one["finished"] for one in calls()] == [False]
    assert call("synthesize", "more", "--out", "out").status == 0
    done = call("synthesize", "in", "--out", "out")
    assert done.status == 2 and "holds results already: a" in done.err
    assert call("synthesize", "in", "--out", "out", "--overwrite").status == 0
    assert told() == [["x"], ["a", "b", "c"]] and all(one["finished"] for one in calls())
    assert len(open_pairs("out").pairs) == 4


def test_an_interruption_leaves_a_record_of_what_is_whole(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasrestore.data import rain_clip

    put("in/u", "1 2 3")
    put("in/v", "1 2 3")
    real, seen = rain_clip.RainClip.over, []

    def interrupted(self: rain_clip.RainClip, clean: np.ndarray, time: float) -> np.ndarray:
        seen.append(time)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return real(self, clean, time)

    monkeypatch.setattr(rain_clip.RainClip, "over", interrupted)
    done = call("synthesize", "in", "--sequences", "--out", "out")
    assert done.status == 130 and told() == [["u"]] and calls()[0]["finished"] is False
    assert not Path("out/rain/v").exists() and len(open_frames("out/rain/u")) == 3
    assert not [path for path in Path("out").iterdir() if path.name.startswith(".")]


def test_what_was_decoded_of_a_damaged_video_is_recorded(call: Call) -> None:
    make_video(Path("whole.mkv"), range(3))
    cut = cut_file(make_video(Path("a.mkv"), range(40)), 0.5)
    done = call("synthesize", "whole.mkv", cut, "--out", "out")
    assert done.status == 2 and told() == [["a-cut", "whole"]] and not calls()[0]["finished"]
    assert len(open_clips("out").pairs) == 2
